using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Berth.Api.Links;
using Berth.Server.Nodes;
using Berth.Testing.Clocks;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Many streams over one connection, whatever the other end does.</summary>
public sealed class MultiplexerTests : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ManualTime time = new();
    private readonly ConcurrentQueue<MultiplexedStream> taken = new();
    private readonly SemaphoreSlim some = new(0);
    private readonly Stream wire;
    private readonly Multiplexer asking;
    private readonly Task<LinkException?> asked;
    private readonly Stream far;
    private Multiplexer? answering;
    private Task<LinkException?> answered = Task.FromResult<LinkException?>(null);

    public MultiplexerTests()
    {
        Pipe there = new();
        Pipe back = new();
        wire = new DuplexStream(new Ends(back.Reader, there.Writer));
        far = new DuplexStream(new Ends(there.Reader, back.Writer));
        asking = new Multiplexer(wire, null, static _ => true, time);
        asked = asking.RunAsync();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        asking.Dispose();
        answering?.Dispose();
        await far.DisposeAsync();
        await asked.WaitAsync(Patience, CancellationToken.None);
        await answered.WaitAsync(Patience, CancellationToken.None);
    }

    /// <summary>On it the node speaks first, so nothing of the server's follows; and no clock moves here.</summary>
    [Fact]
    public async Task A_link_s_control_stream_reaches_the_node_at_once()
    {
        Pipe there = new();
        Pipe back = new();
        TaskCompletionSource<MultiplexedStream> begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using Multiplexer node = new(
            new DuplexStream(new Ends(there.Reader, back.Writer)), begun.SetResult, static _ => false, time);
        Task<LinkException?> running = node.RunAsync();
        using MultiplexedStreams server = new(new DuplexStream(new Ends(back.Reader, there.Writer)), time);

        using LinkExchange control = server.Open(LinkProtocol.ControlPath);

        Assert.Equal(LinkProtocol.ControlPath, (await begun.Task.WaitAsync(Patience, Token)).Path);
        Assert.False(running.IsCompleted);
    }

    [Fact]
    public async Task A_stream_has_its_path_and_both_ways_an_end_of_its_own()
    {
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/attempt");

        await SendAsync(here, "to");
        here.End();
        Assert.Equal("to", await AllOfAsync(there));
        await SendAsync(there, "and fro");
        there.End();

        Assert.Equal("/attempt", there.Path);
        Assert.Equal("and fro", await AllOfAsync(here));
        Assert.False(here.Gone.IsCancellationRequested);
        Assert.False(there.Gone.IsCancellationRequested);
    }

    [Fact]
    public async Task Many_at_once_get_each_its_own_bytes()
    {
        Answer();
        Task<byte[]>[] sums = [.. Enumerable.Range(0, 64).Select(async i =>
        {
            MultiplexedStream here = asking.Open($"/{i}");
            byte[] bytes = new byte[300_000 + (i * 7919)];
            new Random(i).NextBytes(bytes);
            Task sending = Task.Run(async () =>
            {
                foreach (byte[] part in bytes.Chunk(10_000 + i))
                {
                    await here.Output.WriteAsync(part, Token);
                }

                here.End();
            });
            byte[] back = await BytesOfAsync(here);
            await sending;
            Assert.Equal(SHA256.HashData(bytes), SHA256.HashData(back));
            return back;
        })];
        _ = EchoAsync(sums.Length);

        await Task.WhenAll(sums).WaitAsync(Patience, Token);
    }

    [Fact]
    public async Task One_that_nobody_reads_holds_up_no_other_and_its_sender_alone()
    {
        (MultiplexedStream stuck, MultiplexedStream unread) = await OpenAsync("/stuck");
        ValueTask<FlushResult> writing = stuck.Output.WriteAsync(new byte[MultiplexedStream.Window + 1], Token);
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/other");

        await SendAsync(here, "past it");
        here.End();

        Assert.Equal("past it", await AllOfAsync(there));
        Assert.False(writing.IsCompleted);
        await DrainAsync(unread, MultiplexedStream.Window + 1);
        await writing;
    }

    [Fact]
    public async Task What_still_waits_when_its_sender_says_the_end_fails_and_harms_no_other()
    {
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/unread");
        ValueTask<FlushResult> writing = here.Output.WriteAsync(new byte[MultiplexedStream.Window + 1], Token);

        here.End();

        await Assert.ThrowsAsync<IOException>(async () => await writing.AsTask().WaitAsync(Patience, Token));
        Assert.InRange((await BytesOfAsync(there)).Length, 0, MultiplexedStream.Window);
        (MultiplexedStream other, MultiplexedStream otherThere) = await OpenAsync("/other");
        await SendAsync(other, "on");
        other.End();
        Assert.Equal("on", await AllOfAsync(otherThere));
    }

    [Fact]
    public async Task What_is_longer_than_a_window_is_sent_while_its_reader_waits_for_the_whole()
    {
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/order");
        byte[] order = new byte[LinkProtocol.MaxOrder];
        new Random(3).NextBytes(order);
        FrameWriter writer = new(here.Output);

        Task sending = writer.SendAsync(FrameKind.Order, order, Token);
        Frame? frame = await new FrameReader(there.Input).ReadAsync(Token).AsTask().WaitAsync(Patience, Token);
        await sending;

        Assert.Equal(order, frame!.Value.Payload.ToArray());
    }

    [Fact]
    public async Task A_reset_is_an_error_to_who_reads_and_to_who_writes_there()
    {
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/attempt");
        await SendAsync(here, "some");
        ValueTask<FlushResult> writing = there.Output.WriteAsync(new byte[MultiplexedStream.Window * 2], Token);

        here.Reset();

        await Assert.ThrowsAsync<IOException>(async () => await writing.AsTask().WaitAsync(Patience, Token));
        await Assert.ThrowsAsync<IOException>(() => BytesOfAsync(there));
        await Assert.ThrowsAsync<IOException>(() => BytesOfAsync(here));
        Assert.True(here.Gone.IsCancellationRequested);
        Assert.True(there.Gone.IsCancellationRequested);
    }

    /// <summary>An event loop that reads a link has others to serve: but for connections with programs nobody goes on
    /// in its thread.</summary>
    [Fact]
    public async Task A_server_takes_answers_of_programs_where_it_reads_and_all_else_in_the_pool()
    {
        Pipe there = new();
        Pipe back = new(new PipeOptions(readerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
        using MultiplexedStreams server = new(new DuplexStream(new Ends(back.Reader, there.Writer)), time);
        using LinkExchange program = server.Open(LinkProtocol.ConnectionPath);
        using LinkExchange attempt = server.Open(LinkProtocol.AttemptPath);
        Task<Thread> ofProgram = ThreadOfAsync(program);
        Task<Thread> ofAttempt = ThreadOfAsync(attempt);
        byte[] frame = new byte[LinkFrame.HeadLength];
        LinkFrame.WriteHead(frame, FrameKind.BytesEnd, 0);
        byte[] both =
        [
            .. Head(MultiplexKind.Data, frame.Length, 2), .. frame, .. Head(MultiplexKind.Data, frame.Length, 1),
            .. frame,
        ];

        Thread loop = new(() => _ = back.Writer.WriteAsync(both, CancellationToken.None).AsTask());
        loop.Start();
        loop.Join();

        Assert.Same(loop, await ofProgram.WaitAsync(Patience, Token));
        Assert.NotSame(loop, await ofAttempt.WaitAsync(Patience, Token));
    }

    private static async Task<Thread> ThreadOfAsync(LinkExchange exchange)
    {
        FrameReader reader = await exchange.ReaderAsync(Token);
        await reader.ReadAsync(Token);
        return Thread.CurrentThread;
    }

    [Fact]
    public async Task The_connections_end_breaks_every_stream_and_nothing_begins()
    {
        (MultiplexedStream here, MultiplexedStream there) = await OpenAsync("/attempt");

        await far.DisposeAsync();

        await Assert.ThrowsAsync<IOException>(() => BytesOfAsync(here));
        Assert.Null(await asked.WaitAsync(Patience, Token));
        Assert.Throws<IOException>(() => asking.Open("/attempt"));
        await Assert.ThrowsAsync<IOException>(async () => await here.Output.WriteAsync(new byte[1], Token));
        Assert.True(here.Gone.IsCancellationRequested);
        GC.KeepAlive(there);
    }

    [Fact]
    public async Task Who_says_nothing_is_asked_and_then_gone()
    {
        MultiplexedStream here = asking.Open("/attempt");
        byte[] came = new byte[4096];
        int open = await far.ReadAsync(came, Token);

        time.Advance(LinkProtocol.LookInterval * LinkProtocol.QuietLooks);
        int ping = await far.ReadAsync(came, Token);
        Assert.Equal((16, 8, (byte)MultiplexKind.Ping), (open, ping, came[0]));
        await far.WriteAsync(Head(MultiplexKind.Pong, 0, 0), Token);
        await UntilHeardAsync();

        // The first look finds that something had come.
        for (int look = 0; look <= LinkProtocol.MostQuietLooks; look++)
        {
            Assert.False(here.Gone.IsCancellationRequested);
            time.Advance(LinkProtocol.LookInterval);
        }

        Assert.True(here.Gone.IsCancellationRequested);
        Assert.Null(await asked.WaitAsync(Patience, Token));
    }

    [Theory]
    [MemberData(nameof(Wrongs))]
    public async Task What_can_t_be_ends_the_link_with_a_reason(string what, byte[] bytes, string reason)
    {
        asking.Open("/attempt");

        await far.WriteAsync(bytes, Token);

        LinkException? wrong = await asked.WaitAsync(Patience, Token);
        Assert.NotNull(wrong);
        Assert.True(wrong.Message.Contains(reason, StringComparison.Ordinal), $"{what}: {wrong.Message}");
    }

    public static TheoryData<string, byte[], string> Wrongs => new()
    {
        { "unknown kind", Head((MultiplexKind)99, 0, 1), "unknown kind 99" },
        { "too long", Head(MultiplexKind.Data, MultiplexHead.MaxData + 1, 1), "Data of 32769 bytes" },
        { "empty data", Head(MultiplexKind.Data, 0, 1), "Data of 0 bytes" },
        { "never opened", [.. Head(MultiplexKind.Data, 1, 7), 0], "stream 7 that nobody opened" },
        { "below zero", [.. Head(MultiplexKind.Data, 1, -1), 0], "stream -1 that nobody opened" },
        { "opened by who answers", [.. Head(MultiplexKind.Open, 1, 2), (byte)'/'], "stream 2 that is not due" },
        { "credit past the window", [.. Head(MultiplexKind.Credit, 4, 1), 0, 0, 0, 1], "More credit" },
        { "no credit", [.. Head(MultiplexKind.Credit, 4, 1), 0, 0, 0, 0], "credit of 0" },
        {
            "past the window",
            [.. Enumerable.Range(0, (MultiplexedStream.Window / MultiplexHead.MaxData) + 1).SelectMany(
                _ => Head(MultiplexKind.Data, MultiplexHead.MaxData, 1).Concat(new byte[MultiplexHead.MaxData]))],
            "More bytes"
        },
    };

    [Fact]
    public async Task Who_opens_the_same_stream_twice_is_cut_off()
    {
        asking.Dispose();
        Pipe there = new();
        Pipe back = new();
        using Multiplexer node = new(
            new DuplexStream(new Ends(there.Reader, back.Writer)), static _ => { }, static _ => true,
            time);
        Task<LinkException?> over = node.RunAsync();
        byte[] open = [.. Head(MultiplexKind.Open, 1, 3), (byte)'/'];

        await there.Writer.WriteAsync(open.Concat(open).ToArray(), Token);

        Assert.Contains("not due", (await over.WaitAsync(Patience, Token))!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_streams_than_there_may_be_are_refused_one_by_one()
    {
        asking.Dispose();
        Pipe there = new();
        Pipe back = new();
        using Multiplexer node = new(
            new DuplexStream(new Ends(there.Reader, back.Writer)), static _ => { }, static _ => true,
            time, most: 1);
        _ = node.RunAsync();

        byte[] both = [.. Head(MultiplexKind.Open, 1, 1), (byte)'/', .. Head(MultiplexKind.Open, 1, 2), (byte)'/'];
        await there.Writer.WriteAsync(both, Token);
        ReadResult read = await back.Reader.ReadAtLeastAsync(MultiplexHead.Length, Token);

        Assert.Equal(Head(MultiplexKind.Reset, 0, 2), read.Buffer.ToArray());
    }

    private static byte[] Head(MultiplexKind kind, int length, int stream)
    {
        byte[] head = new byte[MultiplexHead.Length];
        MultiplexHead.Write(head, kind, length, stream);
        return head;
    }

    private static async Task SendAsync(MultiplexedStream stream, string text) =>
        await stream.Output.WriteAsync(Encoding.UTF8.GetBytes(text), Token);

    private static async Task<string> AllOfAsync(MultiplexedStream stream) =>
        Encoding.UTF8.GetString(await BytesOfAsync(stream));

    private static async Task<byte[]> BytesOfAsync(MultiplexedStream stream)
    {
        using MemoryStream all = new();
        await stream.Input.CopyToAsync(all, Token).WaitAsync(Patience, Token);
        return all.ToArray();
    }

    private static async Task DrainAsync(MultiplexedStream stream, int length)
    {
        int left = length;
        while (left > 0)
        {
            ReadResult read = await stream.Input.ReadAsync(Token).AsTask().WaitAsync(Patience, Token);
            Assert.False(read.IsCompleted && read.Buffer.IsEmpty);
            left -= (int)read.Buffer.Length;
            stream.Input.AdvanceTo(read.Buffer.End);
        }
    }

    private void Answer()
    {
        answering ??= new Multiplexer(
            far,
            stream =>
            {
                taken.Enqueue(stream);
                some.Release();
            },
            static _ => false, time);
        if (answered.IsCompleted)
        {
            answered = answering.RunAsync();
        }
    }

    private async Task<(MultiplexedStream Here, MultiplexedStream There)> OpenAsync(string path)
    {
        Answer();
        MultiplexedStream here = asking.Open(path);
        return (here, await TakenAsync());
    }

    private async Task<MultiplexedStream> TakenAsync()
    {
        Assert.True(await some.WaitAsync(Patience, Token));
        Assert.True(taken.TryDequeue(out MultiplexedStream? stream));
        return stream;
    }

    private async Task EchoAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            MultiplexedStream stream = await TakenAsync();
            _ = Task.Run(
                async () =>
                {
                    await stream.Input.CopyToAsync(stream.Output, Token);
                    stream.End();
                },
                Token);
        }
    }

    /// <summary>What was written to it is taken: a message that is answered follows it.</summary>
    private async Task UntilHeardAsync()
    {
        await far.WriteAsync(Head(MultiplexKind.Ping, 0, 0), Token);
        await far.ReadExactlyAsync(new byte[MultiplexHead.Length], Token);
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
