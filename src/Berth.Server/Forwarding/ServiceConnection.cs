using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Berth.Api.Links;
using Berth.Server.Loops;

namespace Berth.Server.Forwarding;

/// <summary>
/// One connection to a program that serves HTTP/1.1. Written to and read from at the same time, because a program may
/// answer before it has read all; HttpClient holds such answers back. Disposing it ends whatever is under way.
/// </summary>
internal sealed class ServiceConnection(Stream stream) : IDisposable
{
    private const int BufferSize = 32 * 1024;

    /// <summary>Of an answer: four times of what servers send at most.</summary>
    private const int MaxHead = BufferSize;

    private const int MaxInterims = 16;

    /// <summary>Of a chunk's size and its extensions, and of all trailers.</summary>
    private const int MaxLine = 4096;

    /// <summary>Of a head and the body behind it that is kept for the next request.</summary>
    private const int LargestHead = 64 * 1024;

    /// <summary>Since the last call, after which the kernel is asked whether the program has closed it.</summary>
    private static readonly TimeSpan ShortWait = TimeSpan.FromMilliseconds(500);

    private readonly byte[] buffer = new byte[BufferSize];
    private ArrayBufferWriter<byte> head = new(2048);
    private int start;
    private int end;
    private AnswerFraming framing;

    /// <summary>Of the body or the chunk under way.</summary>
    private long left;
    private bool isFirstChunk;
    private bool bodyEnded;
    private long keptSince;

    /// <summary>Something of an answer has come.</summary>
    public bool HasAnswered { get; private set; }

    /// <summary>Whose thread goes on when something comes; null where it is no socket.</summary>
    public EventLoop? Loop => (stream as LoopStream)?.Socket.Loop;

    /// <summary>Whether it was used before, so that the program may have closed it meanwhile.</summary>
    public bool IsUsed { get; private set; }

    /// <summary>The body was read to its end and nothing came after it.</summary>
    public bool IsAtEnd => bodyEnded && start == end;

    /// <summary>False when the program has closed it, or sent what nobody asked for.</summary>
    public bool IsQuiet
    {
        get
        {
            // Programs close what was not used for seconds. The loop has heard of it before anybody needs it where
            // there is little to do; where there is much, connections don't wait long.
            bool isKeptShortly = Stopwatch.GetElapsedTime(keptSince) < ShortWait;
            try
            {
                return stream switch
                {
                    LoopStream own => !own.Socket.HasNews && (isKeptShortly || HasNothing(own.Socket.Inner)),
                    LinkedStream linked => linked.IsQuiet,
                    _ => true,
                };
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return false;
            }
        }
    }

    /// <summary>What a request begins with.</summary>
    public ArrayBufferWriter<byte> Head => head;

    /// <summary>An empty <see cref="Head"/> for the next request.</summary>
    public ArrayBufferWriter<byte> NewHead()
    {
        if (head.Capacity > LargestHead)
        {
            head = new ArrayBufferWriter<byte>(2048);
        }

        head.ResetWrittenCount();
        return head;
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes) => stream.WriteAsync(bytes, CancellationToken.None);

    /// <summary>Status and headers; interim answers are passed over.</summary>
    /// <param name="upgrades">Whether 101 was asked for.</param>
    /// <exception cref="IOException">The connection ended, or the answer is malformed.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<AnswerHead> ReadHeadAsync(string method, bool upgrades)
    {
        HasAnswered = false;
        for (int interims = 0; interims < MaxInterims; interims++)
        {
            int length = await FindAsync("\r\n\r\n", MaxHead, "head");
            AnswerHead head = AnswerHead.Parse(buffer.AsSpan(start, length), method);
            start += length;
            if (head.Status >= 200 || (head.Status == 101 && upgrades))
            {
                framing = head.Framing;
                left = head.Length;
                isFirstChunk = true;
                bodyEnded = framing == AnswerFraming.None || (framing == AnswerFraming.Length && left == 0);
                return head;
            }

            if (head.Status == 101)
            {
                throw new IOException("it switches to a protocol that nobody asked for");
            }
        }

        throw new IOException("it answers with interim answers alone");
    }

    /// <summary>More of the body; empty at its end. Good until the next call.</summary>
    /// <param name="trailers">Gets what comes after a chunked body.</param>
    public ValueTask<ReadOnlyMemory<byte>> ReadAsync(AnswerHead trailers) =>
        framing == AnswerFraming.Chunked && left == 0 && !bodyEnded ? ReadChunkAsync(trailers)
        : bodyEnded ? default
        : start == end ? ReadMoreAsync()
        : new ValueTask<ReadOnlyMemory<byte>>(Take());

    private async ValueTask<ReadOnlyMemory<byte>> ReadChunkAsync(AnswerHead trailers)
    {
        await BeginChunkAsync(trailers);
        return bodyEnded ? default : start == end ? await ReadMoreAsync() : Take();
    }

    private async ValueTask<ReadOnlyMemory<byte>> ReadMoreAsync()
    {
        if (await FillAsync())
        {
            return Take();
        }

        bodyEnded = framing == AnswerFraming.Close;
        return bodyEnded ? default : throw new IOException("it closed the connection in the middle of its answer");
    }

    /// <summary>What is here of the body.</summary>
    private ReadOnlyMemory<byte> Take()
    {
        int count = framing == AnswerFraming.Close ? end - start : (int)Math.Min(left, end - start);
        ReadOnlyMemory<byte> part = buffer.AsMemory(start, count);
        start += count;
        left -= count;
        bodyEnded = framing == AnswerFraming.Length && left == 0;
        return part;
    }

    /// <summary>What comes, as it comes, after a switch of protocols; empty at the end.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> ReadRawAsync()
    {
        if (start == end && !await FillAsync())
        {
            return default;
        }

        ReadOnlyMemory<byte> part = buffer.AsMemory(start, end - start);
        start = end;
        return part;
    }

    /// <summary>A call is done with it; it waits for the next one.</summary>
    public void Keep()
    {
        IsUsed = true;
        keptSince = Stopwatch.GetTimestamp();
    }

    public void Dispose() => stream.Dispose();

    private static bool HasNothing(Socket socket) => !socket.Poll(0, SelectMode.SelectRead);

    private async ValueTask BeginChunkAsync(AnswerHead trailers)
    {
        if (!isFirstChunk)
        {
            int gap = await FindAsync("\r\n", MaxLine, "chunk");
            if (gap != 2)
            {
                throw new IOException("a chunk of its answer is longer than it says");
            }

            start += gap;
        }

        isFirstChunk = false;
        int length = await FindAsync("\r\n", MaxLine, "chunk's size");
        left = SizeOf(buffer.AsSpan(start, length - 2));
        start += length;
        if (left > 0)
        {
            return;
        }

        for (int all = 0; ; all += length)
        {
            length = await FindAsync("\r\n", MaxLine - all, "trailer");
            ReadOnlySpan<byte> line = buffer.AsSpan(start, length - 2);
            start += length;
            if (line.IsEmpty)
            {
                bodyEnded = true;
                return;
            }

            trailers.ParseField(line);
        }
    }

    private static long SizeOf(ReadOnlySpan<byte> line)
    {
        int semicolon = line.IndexOf((byte)';');
        ReadOnlySpan<byte> size = (semicolon < 0 ? line : line[..semicolon]).TrimEnd(" \t"u8);
        return size.Length <= 15
            && long.TryParse(size, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long read)
            ? read
            : throw new IOException("its answer has a chunk without a size");
    }

    /// <summary>Bytes up to and with the next <paramref name="mark"/>, all in the buffer.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> FindAsync(string mark, int most, string what)
    {
        int searched = 0;
        while (true)
        {
            ReadOnlySpan<byte> here = buffer.AsSpan(start, end - start);
            int at = mark.Length == 4 ? here[searched..].IndexOf("\r\n\r\n"u8) : here[searched..].IndexOf("\r\n"u8);
            if (at >= 0 && searched + at + mark.Length <= most)
            {
                return searched + at + mark.Length;
            }

            if (at >= 0 || here.Length >= most)
            {
                throw new IOException($"its answer's {what} is longer than {most:N0} bytes");
            }

            searched = Math.Max(0, here.Length - mark.Length + 1);
            if (!await FillAsync())
            {
                throw new IOException(
                    HasAnswered ? "it closed the connection in the middle of its answer"
                        : "it closed the connection without an answer");
            }
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> FillAsync()
    {
        if (start == end)
        {
            start = end = 0;
        }
        else if (start > 0 && end == BufferSize)
        {
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            end -= start;
            start = 0;
        }

        int count = await stream.ReadAsync(buffer.AsMemory(end), CancellationToken.None);
        end += count;
        HasAnswered |= count > 0;
        return count > 0;
    }
}
