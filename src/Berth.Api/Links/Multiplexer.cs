using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;

namespace Berth.Api.Links;

/// <summary>
/// Many streams over one connection, opened by one end and answered by the other. No stream holds up another: what
/// nobody reads stays with who sends it. An end that is silent too long is gone, and everything with it.
/// </summary>
public sealed class Multiplexer : IDisposable
{
    private const int ReadBuffer = 64 * 1024;

    /// <summary>Between two looks.</summary>
    private const int MostAnswers = 4;

    private readonly Stream connection;
    private readonly CombinedWriter writer;
    private readonly Action<MultiplexedStream>? opened;
    private readonly Func<string, bool> isInline;
    private readonly AfterReading after = new();
    private readonly PipeScheduler others;
    private readonly ConcurrentDictionary<int, MultiplexedStream> streams = new();
    private readonly Lock gate = new();
    private readonly CancellationTokenSource over = new();
    private readonly ITimer watch;
    private readonly int most;
    private bool hasHeard;
    private int quiet;
    private int answers;
    private int last;
    private bool isOver;

    /// <param name="opened">Given each stream that the other end opens; null for the end that opens them.</param>
    /// <param name="isInline">Whether those who read a stream of this path go on at once, which is for who never takes
    /// long, since it holds up all others.</param>
    /// <param name="most">Streams at once.</param>
    /// <param name="others">Where all others go on; null for the thread that has read, once the next read is another's
    /// to take.</param>
    public Multiplexer(
        Stream connection, Action<MultiplexedStream>? opened, Func<string, bool> isInline, TimeProvider time,
        int most = LinkProtocol.MaxStreams, PipeScheduler? others = null)
    {
        this.others = others ?? after;
        this.connection = connection;
        this.opened = opened;
        this.isInline = isInline;
        this.most = most;
        writer = new CombinedWriter(connection);
        watch = time.CreateTimer(
            static state => ((Multiplexer)state!).Look(), this, LinkProtocol.LookInterval, LinkProtocol.LookInterval);
    }

    /// <summary>Begins a stream.</summary>
    /// <param name="isFollowed">Whether something is written to it at once: the other end hears of both together.
    /// </param>
    /// <exception cref="IOException">The connection is gone, or there are too many.</exception>
    public MultiplexedStream Open(string path, bool isFollowed = false)
    {
        lock (gate)
        {
            if (isOver)
            {
                throw new IOException("The link is over.");
            }

            if (streams.Count >= most)
            {
                throw new IOException($"There are {most} streams on the link, and no more at once.");
            }

            MultiplexedStream stream = New(++last, path);
            // In the order of their numbers.
            byte[] name = Encoding.UTF8.GetBytes(path);
            if (isFollowed)
            {
                try
                {
                    writer.Leave(MultiplexKind.Open, stream.Id, name);
                }
                catch (IOException)
                {
                    streams.TryRemove(stream.Id, out _);
                    throw;
                }
            }
            else
            {
                writer.Post(MultiplexKind.Open, stream.Id, name);
            }

            return stream;
        }
    }

    /// <summary>Takes what comes until the connection ends, or is disposed. Never faults for what the other end does.
    /// </summary>
    /// <returns>What was wrong; null where it just ended.</returns>
    public async Task<LinkException?> RunAsync()
    {
        LinkException? wrong = null;
        try
        {
            await ReadAsync();
        }
        catch (LinkException fault)
        {
            wrong = fault;
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException or InvalidOperationException
            or OperationCanceledException)
        {
            // Those who use its streams are told.
            wrong = null;
        }

        after.End();
        // Who waits for anything of the link is told now, which may be many: not in the thread that has read.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        Dispose();
        return wrong;
    }

    /// <summary>Ends the connection and every stream of it.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (isOver)
            {
                return;
            }

            isOver = true;
        }

        watch.Dispose();
        // Who reads it stops, whatever kind of connection it is.
        over.Cancel();
        connection.Dispose();
        foreach (MultiplexedStream stream in streams.Values)
        {
            stream.Break(new IOException("The link is gone."));
        }
    }

    private MultiplexedStream New(int id, string path)
    {
        MultiplexedStream stream = new(
            id, path, writer, isInline(path) ? PipeScheduler.Inline : others, s => streams.TryRemove(s.Id, out _));
        streams[id] = stream;
        return stream;
    }

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[ReadBuffer];
        int start = 0;
        int end = 0;
        while (true)
        {
            int count = await after.Then(connection.ReadAsync(buffer.AsMemory(end), over.Token));
            after.Begin();
            if (count == 0)
            {
                return;
            }

            Volatile.Write(ref hasHeard, true);
            end += count;
            while (end - start >= MultiplexHead.Length)
            {
                (MultiplexKind kind, int length, int id) = MultiplexHead.Read(buffer.AsSpan(start));
                if (end - start < MultiplexHead.Length + length)
                {
                    break;
                }

                Take(kind, id, buffer.AsSpan(start + MultiplexHead.Length, length));
                start += MultiplexHead.Length + length;
            }

            // Twice the longest message fits: what is left of one moves to the front.
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            end -= start;
            start = 0;
        }
    }

    private void Take(MultiplexKind kind, int id, ReadOnlySpan<byte> payload)
    {
        switch (kind)
        {
            case MultiplexKind.Open:
                Begin(id, Encoding.UTF8.GetString(payload));
                break;
            case MultiplexKind.Ping:
                Answer();
                break;
            case MultiplexKind.Pong:
                break;
            default:
                if (Find(id) is { } stream)
                {
                    Take(stream, kind, payload);
                }

                break;
        }
    }

    private static void Take(MultiplexedStream stream, MultiplexKind kind, ReadOnlySpan<byte> payload)
    {
        switch (kind)
        {
            case MultiplexKind.Data:
                stream.Accept(payload);
                break;
            case MultiplexKind.Credit:
                int credit = BinaryPrimitives.ReadInt32BigEndian(payload);
                stream.AcceptCredit(
                    credit > 0 ? credit : throw new LinkException($"A credit of {credit} bytes came over a link."));
                break;
            case MultiplexKind.End:
                stream.AcceptEnd();
                break;
            case MultiplexKind.Reset:
                stream.Break(new IOException("The other end gave the stream up."));
                break;
        }
    }

    /// <summary>Null for one that is over: its other end may not know yet.</summary>
    private MultiplexedStream? Find(int id) => streams.TryGetValue(id, out MultiplexedStream? stream) ? stream
        : id > 0 && id <= Volatile.Read(ref last) ? null
        : throw new LinkException($"A message of a stream {id} that nobody opened came over a link.");

    private void Begin(int id, string path)
    {
        if (opened is null || id <= last)
        {
            throw new LinkException($"The other end of a link opened a stream {id} that is not due.");
        }

        last = id;
        MultiplexedStream stream;
        lock (gate)
        {
            if (isOver)
            {
                return;
            }

            if (streams.Count >= most)
            {
                writer.Post(MultiplexKind.Reset, id, []);
                return;
            }

            stream = New(id, path);
        }

        opened(stream);
    }

    /// <summary>Whoever asks again and again has its answer already.</summary>
    private void Answer()
    {
        if (Interlocked.Increment(ref answers) <= MostAnswers)
        {
            writer.Post(MultiplexKind.Pong, 0, []);
        }
    }

    /// <summary>Looks are counted, and not the time: a process that stood still itself has heard nobody, which says
    /// nothing of the other end.</summary>
    private void Look()
    {
        Volatile.Write(ref answers, 0);
        quiet = Interlocked.Exchange(ref hasHeard, false) ? 0 : quiet + 1;
        if (quiet >= LinkProtocol.MostQuietLooks)
        {
            Dispose();
        }
        else if (quiet >= LinkProtocol.QuietLooks)
        {
            writer.Post(MultiplexKind.Ping, 0, []);
        }
    }
}
