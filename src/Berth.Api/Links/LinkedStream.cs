using Berth.Core.Streams;

namespace Berth.Api.Links;

/// <summary>
/// One connection to a program, or from one, over a stream of the link: what it is at both ends. Each direction has a
/// window and an end of its own. Disposing it ends what is under way at once, as a closed socket does; the other end
/// still gets what was written before.
/// </summary>
public sealed class LinkedStream : SequentialStream
{
    private readonly FrameReader frames;
    private readonly FrameWriter writer;
    private readonly Action<LinkedStream> closed;
    private readonly IncomingStream incoming;
    private readonly CreditGate credit = new(LinkProtocol.ConnectionWindow);
    private readonly CancellationToken stop;
    private int isEndSent;
    private int disposed;

    /// <param name="closed">Called once, when it was disposed.</param>
    /// <param name="stop">Ends the reading of frames, and so <see cref="OtherEnd"/>.</param>
    /// <param name="isInline">Whether who reads goes on where the link is read, which is for who never takes long.
    /// </param>
    public LinkedStream(
        FrameReader frames, FrameWriter writer, Action<LinkedStream> closed, CancellationToken stop,
        bool isInline = true)
    {
        this.stop = stop;
        this.frames = frames;
        this.writer = writer;
        this.closed = closed;
        incoming = new IncomingStream(Welcome, LinkProtocol.ConnectionWindow, isInline);
        OtherEnd = ReadAsync();
    }

    /// <summary>Completes when the other end has closed it, or is gone. Never faults.</summary>
    public Task OtherEnd { get; }

    /// <summary>False once the other end says no more, or has said what is not read yet.</summary>
    public bool IsQuiet => !incoming.HasEnded && !incoming.HasUnread;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        incoming.ReadAsync(buffer, cancellationToken);

    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            int count = await credit.TakeAsync(Math.Min(buffer.Length, LinkProtocol.MaxData), cancellationToken);
            // A frame is written whole: what was begun can't be taken back.
            await SendAsync(FrameKind.Bytes, buffer[..count]);
            buffer = buffer[count..];
        }
    }

    /// <summary>Says that no more is written here; what comes is still read. Idempotent.</summary>
    /// <exception cref="IOException">The other end is gone.</exception>
    public Task EndAsync() => Interlocked.Exchange(ref isEndSent, 1) == 0
        ? SendAsync(FrameKind.BytesEnd, ReadOnlyMemory<byte>.Empty)
        : Task.CompletedTask;

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref disposed, 1) == 0)
        {
            credit.Close();
            incoming.Break(new IOException("The connection was closed."));
            closed(this);
        }

        base.Dispose(disposing);
    }

    /// <summary>Whatever ends a stream of the link, to who uses a connection it is an IOException.</summary>
    private async Task SendAsync(FrameKind kind, ReadOnlyMemory<byte> payload)
    {
        try
        {
            await writer.SendAsync(kind, payload, CancellationToken.None);
        }
        catch (Exception gone) when (
            gone is HttpRequestException or InvalidOperationException or OperationCanceledException)
        {
            throw new IOException("The other end of the connection is gone.", gone);
        }
    }

    private void Welcome(int bytes) => writer.PostCredit(FrameKind.BytesCredit, bytes);

    private async Task ReadAsync()
    {
        Exception? fault = null;
        try
        {
            while (await frames.ReadAsync(stop) is { } frame)
            {
                Take(frame);
            }
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or InvalidOperationException or ArgumentException)
        {
            fault = gone;
        }

        credit.Close();
        if (!incoming.HasEnded)
        {
            // What ends well says so first: without that nobody may take a part for the whole.
            incoming.Break(new IOException("The other end of the connection is gone.", fault));
        }
    }

    private void Take(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Bytes:
                incoming.Accept(frame.Payload);
                break;
            case FrameKind.BytesEnd:
                incoming.End();
                break;
            case FrameKind.BytesCredit:
                credit.Add(LinkFrame.CreditOf(frame.Payload));
                break;
            default:
                throw new LinkException($"A frame {frame.Kind} came over a connection.");
        }
    }
}
