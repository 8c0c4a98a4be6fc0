using Berth.Api.Links;
using Berth.Api.Nodes;

namespace Berth.Server.Nodes;

/// <summary>A program's standard input on another machine.</summary>
internal sealed class RemoteInput(FrameWriter writer, CreditGate credit) : Stream
{
    /// <summary>Bytes that were sent before they were written here.</summary>
    private int ahead;
    private bool ended;
    private bool isEndSent;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>The beginning of what will be written here is on its way already.</summary>
    public void Sent(InputBlock block)
    {
        ahead = block.Bytes.Length;
        isEndSent = block.IsWhole;
    }

    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int there = Math.Min(ahead, buffer.Length);
        ahead -= there;
        buffer = buffer[there..];
        while (!buffer.IsEmpty)
        {
            int count = await credit.TakeAsync(Math.Min(buffer.Length, LinkProtocol.MaxData), cancellationToken);
            try
            {
                await writer.SendAsync(FrameKind.Input, buffer[..count], cancellationToken);
            }
            catch (Exception gone) when (gone is HttpRequestException or InvalidOperationException)
            {
                throw new IOException("The node was lost.", gone);
            }

            buffer = buffer[count..];
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) =>
        throw new NotSupportedException("What goes over a link is written asynchronously.");

    public override void Flush()
    {
        // Every write is sent.
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !ended)
        {
            ended = true;
            if (!isEndSent)
            {
                writer.Post(FrameKind.InputEnd, default);
            }
        }

        base.Dispose(disposing);
    }
}
