using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Berth.Api.Links;

/// <summary>
/// Writes frames to one direction of a stream of the link, each whole, from any thread. Who writes waits while the
/// other end takes nothing; what is short waits in line with it.
/// </summary>
public sealed class FrameWriter(PipeWriter writer) : IDisposable
{
    /// <summary>A payload up to here is copied behind its head, so that the two are one write.</summary>
    private const int Short = 4096;

    /// <summary>So much is held back at most.</summary>
    private const int MostHeld = 32 * 1024;

    private readonly SemaphoreSlim one = new(1, 1);
    private int unsent;
    private bool isHolding;
    private bool isClosed;

    public Task SendAsync(FrameKind kind, CancellationToken cancellationToken) =>
        SendAsync(kind, ReadOnlyMemory<byte>.Empty, cancellationToken);

    public Task SendAsync<T>(FrameKind kind, T document, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(kind, JsonSerializer.SerializeToUtf8Bytes(document, type), cancellationToken);

    /// <summary>Throws IOException once the other end is gone.</summary>
    public async Task SendAsync(FrameKind kind, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        ThrowIfTooLong(kind, payload.Length);
        await one.WaitAsync(cancellationToken);
        try
        {
            ThrowIfClosed();
            if (payload.Length <= Short)
            {
                Put(kind, payload.Span);
                await FlushAsync(cancellationToken);
            }
            else
            {
                PutHead(kind, payload.Length);
                unsent = 0;
                Check(await writer.WriteAsync(payload, cancellationToken));
            }
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Sends frames in one go, so that they travel together. Throws as the others.</summary>
    public async Task SendAsync(
        IReadOnlyList<(FrameKind Kind, ReadOnlyMemory<byte> Payload)> frames, CancellationToken cancellationToken)
    {
        foreach ((FrameKind kind, ReadOnlyMemory<byte> payload) in frames)
        {
            ThrowIfTooLong(kind, payload.Length);
        }

        await one.WaitAsync(cancellationToken);
        try
        {
            ThrowIfClosed();
            foreach ((FrameKind kind, ReadOnlyMemory<byte> payload) in frames)
            {
                Put(kind, payload.Span);
            }

            await FlushAsync(cancellationToken);
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>The same without waiting for it, for what nobody can wait for. What can't be sent any more is not
    /// missed: the stream's end tells the other end the same.</summary>
    public void Post(FrameKind kind, ReadOnlyMemory<byte> payload) => _ = PostAsync(kind, payload);

    /// <summary>So many more bytes are welcome. As <see cref="Post"/>.</summary>
    public void PostCredit(FrameKind kind, int bytes)
    {
        byte[] payload = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(payload, bytes);
        Post(kind, payload);
    }

    /// <summary>From now on what is short waits to travel with what comes after it, until <see cref="ReleaseAsync"/> or
    /// until it is 32 KiB.</summary>
    public void Hold() => Volatile.Write(ref isHolding, true);

    /// <summary>Sends what waits, and from now on everything at once. Throws as the others.</summary>
    public async Task ReleaseAsync(CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        try
        {
            Volatile.Write(ref isHolding, false);
            if (unsent > 0)
            {
                ThrowIfClosed();
                await FlushAsync(cancellationToken);
            }
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Returns when nothing is being written, and lets nothing be written any more.</summary>
    public async Task CloseAsync()
    {
        await one.WaitAsync(CancellationToken.None);
        isClosed = true;
        one.Release();
    }

    public void Dispose() => one.Dispose();

    /// <summary>The caller holds the turn.</summary>
    private void ThrowIfClosed()
    {
        if (isClosed)
        {
            throw new LinkException("Nothing more is said on this stream of the link.");
        }
    }

    private void Put(FrameKind kind, ReadOnlySpan<byte> payload)
    {
        PutHead(kind, payload.Length);
        writer.Write(payload);
        unsent += payload.Length;
    }

    private void PutHead(FrameKind kind, int length)
    {
        LinkFrame.WriteHead(writer.GetSpan(LinkFrame.HeadLength), kind, length);
        writer.Advance(LinkFrame.HeadLength);
        unsent += LinkFrame.HeadLength;
    }

    private async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        if (unsent > MostHeld || !Volatile.Read(ref isHolding))
        {
            unsent = 0;
            Check(await writer.FlushAsync(cancellationToken));
        }
    }

    private static void Check(FlushResult flushed)
    {
        if (flushed.IsCompleted)
        {
            throw new LinkException("The other end of the link reads no more.");
        }
    }

    private static void ThrowIfTooLong(FrameKind kind, int length)
    {
        if (length > LinkFrame.LimitOf(kind))
        {
            throw new LinkException($"A frame {kind} of {length} bytes is longer than a link takes.");
        }
    }

    private async Task PostAsync(FrameKind kind, ReadOnlyMemory<byte> payload)
    {
        try
        {
            await SendAsync(kind, payload, CancellationToken.None);
        }
        catch (Exception gone) when (gone is IOException or InvalidOperationException or OperationCanceledException
            or HttpRequestException)
        {
            return;
        }
    }
}
