using System.Buffers;
using System.IO.Pipelines;
using Berth.Api.Nodes;
using Berth.Core.Streams;

namespace Berth.Api.Links;

/// <summary>
/// The reading end of one of a program's streams that comes in frames. Holds at most a window of it: who reads tells
/// the other end how much more is welcome, and more than that is a fault of the other end. So one stream that nobody
/// reads holds up no other.
/// </summary>
/// <param name="welcome">Told how many bytes were read.</param>
/// <param name="window">Bytes that may have come and not be read.</param>
/// <param name="isInline">Who waits goes on within <see cref="Accept"/>, instead of a thread of the pool.</param>
public sealed class IncomingStream(
    Action<int> welcome, int window = LinkProtocol.Window, bool isInline = false)
    : SequentialStream, IInputAhead
{
    // No pause at the writing end: the window bounds it.
    private readonly Pipe pipe = new(new PipeOptions(
        pauseWriterThreshold: 0, useSynchronizationContext: false,
        readerScheduler: isInline ? PipeScheduler.Inline : PipeScheduler.ThreadPool));
    private readonly Lock gate = new();
    private readonly int window = window;
    private int open = window;
    private int unsaid;
    private bool ended;
    private bool broken;

    /// <summary>Nothing more will come.</summary>
    public bool HasEnded => Volatile.Read(ref ended);

    /// <summary>Something has come that was not read yet.</summary>
    public bool HasUnread
    {
        get
        {
            lock (gate)
            {
                return window - open - unsaid > 0;
            }
        }
    }

    public override bool CanRead => true;

    /// <summary>Bytes that came.</summary>
    public long Arrived { get; private set; }

    /// <summary>Takes what came. Called by one thread at a time.</summary>
    /// <exception cref="LinkException">It is more than was welcome.</exception>
    public void Accept(ReadOnlySequence<byte> bytes)
    {
        int length = (int)bytes.Length;
        lock (gate)
        {
            if (broken)
            {
                // Nobody reads it any more.
                return;
            }

            open -= length;
            if (open < 0)
            {
                throw new LinkException($"More than {window} unread bytes came over the link.");
            }

            if (ended)
            {
                throw new LinkException("Bytes of a stream came over the link after its end.");
            }

            Arrived += length;
            bytes.CopyTo(pipe.Writer.GetSpan(length));
            pipe.Writer.Advance(length);
        }

        try
        {
            // There is no threshold, so this completes at once. Who waits may go on within it.
            _ = pipe.Writer.FlushAsync(CancellationToken.None).AsTask();
        }
        catch (InvalidOperationException)
        {
            // It was broken between the two.
            return;
        }
    }

    /// <summary>Nothing more comes. Idempotent.</summary>
    public void End()
    {
        lock (gate)
        {
            ended = true;
        }

        // Who waits may go on within it, which nobody else should wait for.
        pipe.Writer.Complete();
    }

    /// <summary>Who reads gets no more than this error, and what comes is dropped. Nothing happens where it has ended
    /// and been read.</summary>
    public void Break(Exception fault)
    {
        lock (gate)
        {
            broken = true;
            ended = true;
        }

        pipe.Writer.Complete(fault);
    }

    /// <summary>What has come and was not read. For who is going to read it, while nobody does.</summary>
    public InputBlock? Peek(int most)
    {
        if (!pipe.Reader.TryRead(out ReadResult read))
        {
            return new InputBlock(ReadOnlyMemory<byte>.Empty, IsWhole: false);
        }

        byte[] bytes = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, most)).ToArray();
        bool isWhole = read.IsCompleted && bytes.Length == read.Buffer.Length;
        // Nothing was taken and nothing looked at: who reads next gets it at once.
        pipe.Reader.AdvanceTo(read.Buffer.Start, read.Buffer.Start);
        return new InputBlock(bytes, isWhole);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ReadResult read = await pipe.Reader.ReadAsync(cancellationToken);
        int count = (int)Math.Min(read.Buffer.Length, buffer.Length);
        read.Buffer.Slice(0, count).CopyTo(buffer.Span);
        pipe.Reader.AdvanceTo(read.Buffer.GetPosition(count));
        Say(count);
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            pipe.Reader.Complete();
        }

        base.Dispose(disposing);
    }

    private void Say(int count)
    {
        int said;
        lock (gate)
        {
            unsaid += count;
            if (ended || unsaid < window / 2)
            {
                return;
            }

            said = unsaid;
            unsaid = 0;
            open += said;
        }

        welcome(said);
    }
}
