using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace Berth.Api.Links;

/// <summary>
/// One of many streams of a connection. Each direction has a window, what may be under way before it was read, and an
/// end of its own.
/// </summary>
public sealed class MultiplexedStream
{
    /// <summary>Bytes of each direction that may be under way.</summary>
    public const int Window = 512 * 1024;

    private readonly CombinedWriter connection;
    private readonly PipeScheduler reading;
    private readonly StreamWriter output;
    private readonly Action<MultiplexedStream> over;
    private readonly Pipe incoming;
    private readonly CreditGate credit = new(Window);
    private readonly CancellationTokenSource gone = new();
    private readonly Lock gate = new();
    private int open = Window;
    private bool hasEnded;
    private bool hasOtherEnded;
    private bool isOver;
    private volatile bool isIgnored;

    /// <param name="reading">Where who reads goes on: <see cref="PipeScheduler.Inline"/> for who never takes long.
    /// </param>
    /// <param name="over">Called once, when nothing of it goes either way any more.</param>
    internal MultiplexedStream(
        int id, string path, CombinedWriter connection, PipeScheduler reading, Action<MultiplexedStream> over)
    {
        Id = id;
        Path = path;
        this.connection = connection;
        this.reading = reading;
        this.over = over;
        // No pause at the writing end: the window bounds it.
        incoming = new Pipe(new PipeOptions(
            readerScheduler: reading, pauseWriterThreshold: 0, useSynchronizationContext: false));
        Input = new CreditedReader(incoming.Reader, Welcome);
        output = new StreamWriter(this);
    }

    public string Path { get; }

    /// <summary>What comes. Fails with IOException where the other end, or the connection, is gone before its end.
    /// </summary>
    public PipeReader Input { get; }

    /// <summary>What goes. For one writer at a time; a flush waits while the other end reads nothing, and fails with
    /// IOException where it, or the connection, is gone.</summary>
    public PipeWriter Output => output;

    /// <summary>Cancelled when it was reset, here or there, or the connection is gone.</summary>
    public CancellationToken Gone => gone.Token;

    internal int Id { get; }

    /// <summary>Goes on where who reads it does.</summary>
    public void Run(Action<object?> action, object? state) => reading.Schedule(action, state);

    /// <summary>Sends what was written and not flushed together with the end.</summary>
    /// <exception cref="IOException">The other end, or the connection, is gone.</exception>
    public async ValueTask EndAsync()
    {
        await output.FlushAsync(isLast: true, CancellationToken.None);
        End();
    }

    /// <summary>Says that no more comes from here; the other way goes on. What still waits to be sent fails.
    /// Idempotent.</summary>
    public void End()
    {
        lock (gate)
        {
            if (hasEnded || isOver)
            {
                return;
            }

            hasEnded = true;
            credit.Close();
            // Within the lock: nothing of it may follow a reset.
            connection.Post(MultiplexKind.End, Id, []);
        }

        CloseWhereDone();
    }

    /// <summary>Ends both ways at once, with what was under way; nothing happens where both have ended. Idempotent.
    /// </summary>
    public void Reset()
    {
        lock (gate)
        {
            if (isOver)
            {
                return;
            }

            connection.Post(MultiplexKind.Reset, Id, []);
        }

        Break(new IOException("The stream was reset."));
    }

    /// <summary>What came is dropped from now on, and so is what is there.</summary>
    public void Ignore()
    {
        isIgnored = true;
        incoming.Reader.Complete();
    }

    /// <exception cref="LinkException">It is more than was welcome.</exception>
    internal void Accept(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            // An end may overtake what was on its way and is not wanted any more.
            if (isOver || hasOtherEnded)
            {
                return;
            }

            open -= bytes.Length;
            if (open < 0)
            {
                throw new LinkException($"More bytes than were welcome came over the link's stream {Id}.");
            }

            if (isIgnored)
            {
                return;
            }

            incoming.Writer.Write(bytes);
        }

        try
        {
            // There is no threshold, so this completes at once. Who waits may go on within it.
            _ = incoming.Writer.FlushAsync(CancellationToken.None).AsTask();
        }
        catch (InvalidOperationException)
        {
            // It was reset here between the two.
            return;
        }
    }

    internal void AcceptCredit(int bytes) => credit.Add(bytes);

    internal void AcceptEnd()
    {
        lock (gate)
        {
            hasOtherEnded = true;
        }

        incoming.Writer.Complete();
        CloseWhereDone();
    }

    /// <summary>It is gone without an end.</summary>
    internal void Break(IOException reason)
    {
        lock (gate)
        {
            if (isOver)
            {
                return;
            }

            isOver = true;
        }

        credit.Close();
        incoming.Writer.Complete(reason);
        over(this);
        gone.Cancel();
    }

    private void CloseWhereDone()
    {
        lock (gate)
        {
            if (isOver || !hasEnded || !hasOtherEnded)
            {
                return;
            }

            isOver = true;
        }

        credit.Close();
        over(this);
    }

    private void Welcome(int bytes)
    {
        lock (gate)
        {
            if (isOver || hasOtherEnded)
            {
                return;
            }

            open += bytes;
        }

        Span<byte> payload = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(payload, bytes);
        connection.Post(MultiplexKind.Credit, Id, payload);
    }

    /// <param name="isLast">Whether the end follows at once.</param>
    private async Task SendAsync(ReadOnlyMemory<byte> bytes, bool isLast, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty)
        {
            int count = await credit.TakeAsync(Math.Min(bytes.Length, MultiplexHead.MaxData), cancellationToken);
            // What was begun can't be taken back: the other end would take the rest for something else.
            cancellationToken = CancellationToken.None;
            if (isLast && count == bytes.Length)
            {
                connection.Leave(MultiplexKind.Data, Id, bytes.Span);
                return;
            }

            await connection.WriteAsync(MultiplexKind.Data, Id, bytes[..count]);
            bytes = bytes[count..];
        }
    }

    /// <summary>Grants more once a good part of the window was looked at, whether or not it was enough for the reader.
    /// </summary>
    private sealed class CreditedReader(PipeReader reader, Action<int> welcome) : PipeReader
    {
        private ReadOnlySequence<byte> buffer;
        private long kept;
        private int unsaid;

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
            Seen(await reader.ReadAsync(cancellationToken));

        public override bool TryRead(out ReadResult result)
        {
            bool isRead = reader.TryRead(out result);
            if (isRead)
            {
                Seen(result);
            }

            return isRead;
        }

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            kept = buffer.Slice(consumed).Length;
            reader.AdvanceTo(consumed, examined);
        }

        public override void CancelPendingRead() => reader.CancelPendingRead();

        public override void Complete(Exception? exception = null) => reader.Complete(exception);

        private ReadResult Seen(ReadResult read)
        {
            buffer = read.Buffer;
            unsaid += (int)(buffer.Length - kept);
            kept = buffer.Length;
            if (unsaid >= Window / 2)
            {
                welcome(unsaid);
                unsaid = 0;
            }

            return read;
        }
    }

    /// <summary>Keeps what was written until it is flushed, and no memory between.</summary>
    private sealed class StreamWriter(MultiplexedStream stream) : PipeWriter
    {
        private const int Least = 4096;

        private byte[] buffer = [];
        private int count;

        public override void Advance(int bytes) => count += bytes;

        public override Memory<byte> GetMemory(int sizeHint = 0)
        {
            Grow(sizeHint);
            return buffer.AsMemory(count);
        }

        public override Span<byte> GetSpan(int sizeHint = 0)
        {
            Grow(sizeHint);
            return buffer.AsSpan(count);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
            FlushAsync(isLast: false, cancellationToken);

        public async ValueTask<FlushResult> FlushAsync(bool isLast, CancellationToken cancellationToken)
        {
            (byte[] full, int length) = (buffer, count);
            (buffer, count) = ([], 0);
            try
            {
                await stream.SendAsync(full.AsMemory(0, length), isLast, cancellationToken);
            }
            finally
            {
                if (full.Length > 0)
                {
                    ArrayPool<byte>.Shared.Return(full);
                }
            }

            return default;
        }

        public override void CancelPendingFlush() =>
            throw new NotSupportedException("What goes over a link ends with its stream.");

        public override void Complete(Exception? exception = null) => stream.End();

        private void Grow(int sizeHint)
        {
            int least = Math.Max(sizeHint, 1);
            if (buffer.Length - count >= least)
            {
                return;
            }

            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(count + least, Least));
            buffer.AsSpan(0, count).CopyTo(larger);
            if (buffer.Length > 0)
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }

            buffer = larger;
        }
    }
}
