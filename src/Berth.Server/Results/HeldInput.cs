using System.IO.Pipelines;
using System.Security.Cryptography;
using Berth.Core.Streams;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Results;

/// <summary>
/// A request's body, held and hashed as it comes. One that is more than may be held has no hash; then what was held
/// and the rest as it comes are the request's body again.
/// </summary>
internal sealed class HeldInput : IDisposable
{
    private HeldInput(HeldBytes bytes, byte[]? hash)
    {
        Bytes = bytes;
        Hash = hash;
    }

    public HeldBytes Bytes { get; }

    /// <summary>SHA-256 of all of it; null where it is not held whole.</summary>
    public byte[]? Hash { get; }

    /// <summary>Takes the body in.</summary>
    /// <param name="bytes">Gets it; disposed with what is returned, or when this fails.</param>
    public static async Task<HeldInput> ReceiveAsync(
        PipeReader body, HeldBytes bytes, CancellationToken cancellationToken)
    {
        try
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            while (true)
            {
                ReadResult read = await body.ReadAsync(cancellationToken);
                SequencePosition taken = read.Buffer.Start;
                foreach (ReadOnlyMemory<byte> piece in read.Buffer)
                {
                    if (!await bytes.TryAppendAsync(piece, cancellationToken))
                    {
                        body.AdvanceTo(taken);
                        return new HeldInput(bytes, null);
                    }

                    hash.AppendData(piece.Span);
                    taken = read.Buffer.GetPosition(piece.Length, taken);
                }

                body.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    return new HeldInput(bytes, hash.GetHashAndReset());
                }
            }
        }
        catch (Exception)
        {
            bytes.Dispose();
            throw;
        }
    }

    /// <summary>What the request's body is to be read from, where it is not held whole.</summary>
    public IRequestBodyPipeFeature Before(PipeReader rest) => new Joined(Bytes, rest);

    public void Dispose() => Bytes.Dispose();

    /// <summary>What is held, and then the rest.</summary>
    private sealed class Joined : SequentialStream, IRequestBodyPipeFeature
    {
        private readonly HeldBytes held;
        private readonly PipeReader rest;
        private long position;

        public Joined(HeldBytes held, PipeReader rest)
        {
            this.held = held;
            this.rest = rest;
            Reader = PipeReader.Create(this, new StreamPipeReaderOptions(leaveOpen: true));
        }

        public PipeReader Reader { get; }

        public override bool CanRead => true;

        public override async ValueTask<int> ReadAsync(
            Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int count = await held.ReadAsync(buffer, position, cancellationToken);
            position += count;
            return count > 0 || buffer.IsEmpty ? count : await ReadRestAsync(buffer, cancellationToken);
        }

        private async ValueTask<int> ReadRestAsync(Memory<byte> buffer, CancellationToken cancellationToken)
        {
            while (true)
            {
                ReadResult read;
                // Not by the token itself: that would leave the reader unfit for the rest of the request.
                await using (cancellationToken.UnsafeRegister(static r => ((PipeReader)r!).CancelPendingRead(), rest))
                {
                    read = await rest.ReadAsync(CancellationToken.None);
                }

                if (read.IsCanceled)
                {
                    rest.AdvanceTo(read.Buffer.Start);
                    throw new OperationCanceledException(cancellationToken);
                }

                int count = (int)Math.Min(read.Buffer.Length, buffer.Length);
                System.Buffers.ReadOnlySequence<byte> taken = read.Buffer.Slice(0, count);
                System.Buffers.BuffersExtensions.CopyTo(taken, buffer.Span);
                rest.AdvanceTo(taken.End);
                if (count > 0 || read.IsCompleted)
                {
                    return count;
                }
            }
        }
    }
}
