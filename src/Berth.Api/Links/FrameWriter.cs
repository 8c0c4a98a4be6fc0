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

    private readonly SemaphoreSlim one = new(1, 1);
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
            LinkFrame.WriteHead(writer.GetSpan(LinkFrame.HeadLength), kind, payload.Length);
            writer.Advance(LinkFrame.HeadLength);
            if (payload.Length <= Short)
            {
                writer.Write(payload.Span);
                payload = default;
            }

            FlushResult flushed = payload.IsEmpty
                ? await writer.FlushAsync(cancellationToken)
                : await writer.WriteAsync(payload, cancellationToken);
            if (flushed.IsCompleted)
            {
                throw new LinkException("The other end of the link reads no more.");
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
                LinkFrame.WriteHead(writer.GetSpan(LinkFrame.HeadLength), kind, payload.Length);
                writer.Advance(LinkFrame.HeadLength);
                writer.Write(payload.Span);
            }

            FlushResult flushed = await writer.FlushAsync(cancellationToken);
            if (flushed.IsCompleted)
            {
                throw new LinkException("The other end of the link reads no more.");
            }
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
