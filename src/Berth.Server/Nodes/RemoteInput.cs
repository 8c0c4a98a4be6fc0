using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Streams;

namespace Berth.Server.Nodes;

/// <summary>A program's standard input on another machine.</summary>
internal sealed class RemoteInput(FrameWriter writer, CreditGate credit) : SequentialStream
{
    /// <summary>Bytes that were sent before they were written here.</summary>
    private int ahead;
    private bool ended;
    private bool isEndSent;

    public override bool CanWrite => true;

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
