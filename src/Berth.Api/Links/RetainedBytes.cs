namespace Berth.Api.Links;

/// <summary>
/// Bytes of one stream, kept until the other end has confirmed them: where the link breaks they are sent again over the
/// next one, each once. Holds so many at most; who writes waits for room, or, while <see cref="Loosen"/> holds, the
/// oldest are dropped. One writer, one taker at a time.
/// </summary>
/// <param name="capacity">Bytes; at least a window.</param>
public sealed class RetainedBytes(int capacity)
{
    private const int FirstRing = 16 * 1024;

    private readonly Lock gate = new();
    private byte[] ring = [];
    private TaskCompletionSource? change;

    // Counted from the stream's beginning; start <= sent <= end.
    private long start;
    private long sent;
    private long end;

    /// <summary>What the window is counted from.</summary>
    private long confirmed;
    private bool isComplete;
    private bool isClosed;
    private bool isLoose;

    /// <summary>Bytes that were dropped unsent.</summary>
    public long Dropped { get; private set; }

    /// <exception cref="IOException">The other end wants no more.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task turn;
            lock (gate)
            {
                if (isClosed || isComplete)
                {
                    throw new IOException("The other end reads no more.");
                }

                int count = Math.Min(bytes.Length, Room(bytes.Length));
                Put(bytes.Span[..count]);
                bytes = bytes[count..];
                Wake();
                if (bytes.IsEmpty)
                {
                    return;
                }

                if (isLoose)
                {
                    // The next piece drops this one.
                    continue;
                }

                turn = Wait();
            }

            await turn.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Nothing more is written. Idempotent.</summary>
    public void Complete()
    {
        lock (gate)
        {
            isComplete = true;
            Wake();
        }
    }

    /// <summary>The other end reads no more: what is kept is of no use, and who writes is told.</summary>
    public void Close()
    {
        lock (gate)
        {
            isClosed = true;
            start = sent = end;
            Wake();
        }
    }

    /// <summary>Until <see cref="Resume"/> nobody takes anything, and who writes waits for nobody.</summary>
    public void Loosen()
    {
        lock (gate)
        {
            isLoose = true;
            Wake();
        }
    }

    /// <summary>Takes what is to be sent next; 0 at the stream's end.</summary>
    public async ValueTask<int> TakeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task turn;
            lock (gate)
            {
                int count = (int)Math.Min(
                    Math.Min(end - sent, confirmed + LinkProtocol.Window - sent), buffer.Length);
                if (count > 0)
                {
                    Copy(buffer.Span[..count]);
                    sent += count;
                    return count;
                }

                if (isClosed || (isComplete && sent == end))
                {
                    return 0;
                }

                turn = Wait();
            }

            await turn.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The other end has read so many more.</summary>
    /// <exception cref="LinkException">That is more than it got.</exception>
    public void Confirm(int bytes)
    {
        lock (gate)
        {
            if (confirmed + bytes > sent)
            {
                throw new LinkException("More was confirmed over the link than was sent.");
            }

            confirmed += bytes;
            start = Math.Max(start, confirmed);
            Wake();
        }
    }

    /// <summary>Goes on over another link from where the other end is.</summary>
    /// <param name="place">Null where it does not know: then after what was sent.</param>
    /// <returns>Where it goes on: later than the place where bytes in between were dropped.</returns>
    /// <exception cref="LinkException">It can't be there.</exception>
    public long Resume(StreamPlace? place)
    {
        lock (gate)
        {
            StreamPlace there = place ?? new StreamPlace(sent, 0);
            if (there.At < 0 || there.At > end || there.Unsaid is < 0 or > LinkProtocol.Window)
            {
                throw new LinkException($"The other end of a stream can't be at {there.At} of {end} bytes.");
            }

            start = Math.Max(start, there.At);
            sent = start;
            confirmed = sent - there.Unsaid;
            isLoose = false;
            Wake();
            return sent;
        }
    }

    /// <summary>Takes up a stream of which the other end had something before, from another writer.</summary>
    public void Begin(StreamPlace place)
    {
        lock (gate)
        {
            // What was written here meanwhile comes after it.
            long offset = Math.Max(0, place.At);
            byte[] waiting = new byte[(int)(end - sent)];
            Copy(waiting);
            start = sent = end = offset;
            confirmed = offset - Math.Clamp(place.Unsaid, 0, LinkProtocol.Window);
            Put(waiting);
            Wake();
        }
    }

    /// <summary>How many bytes can be put; makes room where that is allowed.</summary>
    private int Room(int wanted)
    {
        int room = capacity - (int)(end - start);
        if (isLoose && room < wanted)
        {
            long drop = Math.Min(wanted - room, end - start);
            start += drop;
            Dropped += Math.Max(0, start - sent);
            sent = Math.Max(sent, start);
            room += (int)drop;
        }

        return room;
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        Grow((int)(end - start) + bytes.Length);
        for (int done = 0; done < bytes.Length;)
        {
            int at = (int)(end % ring.Length);
            int count = Math.Min(bytes.Length - done, ring.Length - at);
            bytes.Slice(done, count).CopyTo(ring.AsSpan(at));
            end += count;
            done += count;
        }
    }

    private void Copy(Span<byte> target) => Copy(sent, target);

    private void Copy(long from, Span<byte> target)
    {
        for (int done = 0; done < target.Length;)
        {
            int at = (int)((from + done) % ring.Length);
            int count = Math.Min(target.Length - done, ring.Length - at);
            ring.AsSpan(at, count).CopyTo(target[done..]);
            done += count;
        }
    }

    private void Grow(int needed)
    {
        if (needed <= ring.Length)
        {
            return;
        }

        int length = Math.Max(ring.Length, FirstRing);
        while (length < needed)
        {
            length *= 2;
        }

        byte[] kept = new byte[(int)(end - start)];
        Copy(start, kept);
        ring = new byte[Math.Min(length, capacity)];
        long last = end;
        end = start;
        Put(kept);
        System.Diagnostics.Debug.Assert(end == last, "What is kept stays where it is.");
    }

    private Task Wait() => (change ??= new TaskCompletionSource(
        TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    private void Wake()
    {
        change?.TrySetResult();
        change = null;
    }
}
