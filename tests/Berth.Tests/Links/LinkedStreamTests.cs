using System.Net;
using System.Net.Sockets;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Nodes;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Connections to a program on another machine behave as sockets do.</summary>
public sealed class LinkedStreamTests() : LinkedStreamContract(LinkProtocol.Offers);

/// <summary>So they do over a link to a program that knows streams of HTTP/2 alone.</summary>
public sealed class LinkedStreamHttp2Tests() : LinkedStreamContract([LinkProtocol.Negotiated]);

public abstract class LinkedStreamContract(IReadOnlyList<string> offers) : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TcpListener program = new(IPAddress.Loopback, 0);
    private LinkRig rig = null!;
    private JoinedNode joined = null!;
    private RemoteNode node = null!;
    private IAttempt attempt = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private int Port => ((IPEndPoint)program.LocalEndpoint).Port;

    public async ValueTask InitializeAsync()
    {
        program.Start();
        rig = await LinkRig.StartAsync();
        joined = await rig.JoinAsync("worker", offers: offers);
        await rig.UntilAsync("worker", n => n.State == "ready");
        node = rig.Rooms.Register.Get("worker").Node!;
        attempt = await node.StartAsync(
            new AttemptSpec(
                "01m7ykqgsybtfn90avew4xc7wc-1", RunId.Parse("01m7ykqgsybtfn90avew4xc7wc"), 1,
                new SandboxSpec(Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None), ["sleep", "600"],
                null, new Dictionary<string, string>(), null, null, null, TimeSpan.Zero, IsInstance: true),
            Token);
    }

    public async ValueTask DisposeAsync()
    {
        await attempt.DisposeAsync();
        await rig.DisposeAsync();
        program.Dispose();
    }

    [Fact]
    public async Task Large_bodies_pass_both_ways_at_once()
    {
        byte[] body = new byte[8 * 1024 * 1024];
        new Random(1).NextBytes(body);
        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient owned = there;

        Task echoing = EchoAsync(there);
        Task writing = here.WriteAsync(body, Token).AsTask();
        byte[] back = new byte[body.Length];
        await here.ReadExactlyAsync(back, Token).AsTask().WaitAsync(Patience, Token);
        await writing;
        await here.DisposeAsync();
        await echoing.WaitAsync(Patience, Token);

        Assert.Equal(body, back);
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task One_that_nobody_reads_holds_up_no_other()
    {
        (Stream stuck, TcpClient deaf) = await OpenAsync();
        (Stream mute, TcpClient flooding) = await OpenAsync();
        using TcpClient first = deaf;
        using TcpClient second = flooding;
        byte[] part = new byte[64 * 1024];
        // Neither the program nor the server reads what the other sends.
        Task toDeaf = WriteOnAsync(stuck, part);
        Task fromFlooding = WriteOnAsync(flooding.GetStream(), part);

        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient third = there;
        Task echoing = EchoAsync(there);
        await here.WriteAsync(part, Token);
        await here.ReadExactlyAsync(new byte[part.Length], Token).AsTask().WaitAsync(Patience, Token);

        Assert.False(toDeaf.IsCompleted);
        Assert.False(fromFlooding.IsCompleted);
        await here.DisposeAsync();
        await echoing.WaitAsync(Patience, Token);
        // Who waits to write is told at once that it was closed.
        await stuck.DisposeAsync();
        await toDeaf.WaitAsync(Patience, Token);
        await mute.DisposeAsync();
        await fromFlooding.WaitAsync(Patience, Token);
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task A_program_that_says_no_more_may_still_be_told_something()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient owned = there;
        NetworkStream stream = there.GetStream();

        await stream.WriteAsync("bye"u8.ToArray(), Token);
        there.Client.Shutdown(SocketShutdown.Send);
        byte[] said = new byte[16];
        int count = await here.ReadAtLeastAsync(said, 16, throwOnEndOfStream: false, Token);
        await here.WriteAsync("still there?"u8.ToArray(), Token);
        await here.DisposeAsync();

        Assert.Equal("bye"u8.ToArray(), said[..count]);
        Assert.Equal("still there?"u8.ToArray(), await ReadAllAsync(stream));
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task What_was_written_before_the_end_gets_there()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient owned = there;

        await here.WriteAsync("the last word"u8.ToArray(), Token);
        await here.DisposeAsync();

        Assert.Equal("the last word"u8.ToArray(), await ReadAllAsync(there.GetStream()));
        await Assert.ThrowsAsync<IOException>(() => here.ReadAsync(new byte[1], Token).AsTask());
        await Assert.ThrowsAsync<IOException>(() => here.WriteAsync(new byte[1], Token).AsTask());
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task A_reset_is_no_end()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        await there.GetStream().WriteAsync("half of"u8.ToArray(), Token);
        await here.ReadExactlyAsync(new byte[7], Token);

        there.Client.LingerState = new LingerOption(true, 0);
        there.Client.Close();

        await Assert.ThrowsAsync<IOException>(
            () => here.ReadAsync(new byte[1], Token).AsTask().WaitAsync(Patience, Token));
        await here.DisposeAsync();
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task Where_nothing_listens_is_told_so()
    {
        int port = Port;
        program.Stop();

        IOException refused = await Assert.ThrowsAsync<IOException>(() => attempt.ConnectAsync(port, Token));

        Assert.Contains("Nothing listens on port", refused.Message, StringComparison.Ordinal);
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task A_closed_one_is_seen_before_it_is_used_again()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        LinkedStream linked = Assert.IsType<LinkedStream>(here);
        Assert.True(linked.IsQuiet);

        there.Dispose();

        await ConditionAsync(() => !linked.IsQuiet, "the end has come");
        await here.DisposeAsync();
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task They_end_with_their_attempt()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient owned = there;

        attempt.Stop(EndReason.Canceled, TimeSpan.Zero);
        await attempt.Completion.WaitAsync(Patience, Token);

        // A program that is ended closes its connections: that may be told before the end of the attempt.
        Exception? end = await Record.ExceptionAsync(
            async () => Assert.Equal(0, await here.ReadAsync(new byte[1], Token).AsTask().WaitAsync(Patience, Token)));
        Assert.True(end is null or IOException, $"{end}");
        await Assert.ThrowsAsync<IOException>(() => attempt.ConnectAsync(Port, Token));
        Assert.Empty(await ReadAllAsync(there.GetStream()));
        await here.DisposeAsync();
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task They_end_with_their_link_on_both_sides()
    {
        (Stream here, TcpClient there) = await OpenAsync();
        using TcpClient owned = there;

        await joined.StopAsync();

        await Assert.ThrowsAsync<IOException>(
            () => here.ReadAsync(new byte[1], Token).AsTask().WaitAsync(Patience, Token));
        Assert.Empty(await ReadAllAsync(there.GetStream()));
        await Assert.ThrowsAsync<IOException>(() => attempt.ConnectAsync(Port, Token));
        await here.DisposeAsync();
        await NoneIsLeftAsync();
    }

    [Fact]
    public async Task A_node_has_so_many_at_most()
    {
        RemoteConnections two = new(node.Link, TimeProvider.System, most: 2);
        ConnectOrder order = new(attempt.Spec.Id, Port);
        await using LinkedStream first = await two.OpenAsync(order, Token);
        LinkedStream second = await two.OpenAsync(order, Token);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => two.OpenAsync(order, Token));
        await second.DisposeAsync();
        await ConditionAsync(() => two.Count == 1, "one is left");
        await using LinkedStream third = await two.OpenAsync(order, Token);

        Assert.Equal(ErrorCode.QueueFull, refused.Code);
        Assert.NotNull(refused.RetryAfter);
    }

    [Fact]
    public async Task A_wish_that_is_given_up_leaves_nothing()
    {
        IAttempt listening = await node.StartAsync(
            attempt.Spec with { Id = "01m7ykqgsybtfn90avew4xc7wc-2", Listen = 8080 }, Token);
        using CancellationTokenSource enough = new();
        Task<Stream> accepting = listening.AcceptAsync(enough.Token);
        await ConditionAsync(() => node.Connections == 1, "it waits");

        await enough.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => accepting);
        await NoneIsLeftAsync();
        await listening.DisposeAsync();
    }

    [Fact]
    public async Task What_an_instance_uses_is_known_here()
    {
        await ConditionAsync(() => attempt.Measure() is not null, "the node has told");

        Assert.Equal(ByteSize.MiB(1), attempt.Measure()!.Memory);
        attempt.Stop(EndReason.Canceled, TimeSpan.Zero);
        await attempt.Completion.WaitAsync(Patience, Token);
        Assert.Null(attempt.Measure());
    }

    private static async Task EchoAsync(TcpClient there)
    {
        NetworkStream stream = there.GetStream();
        byte[] block = new byte[16 * 1024];
        while (await stream.ReadAsync(block, Token) is > 0 and int count)
        {
            await stream.WriteAsync(block.AsMemory(0, count), Token);
        }
    }

    /// <summary>Until it can't any more.</summary>
    private static async Task WriteOnAsync(Stream target, byte[] part)
    {
        try
        {
            while (true)
            {
                await target.WriteAsync(part, Token);
            }
        }
        catch (IOException)
        {
            return;
        }
    }

    /// <summary>What comes until the end, however that comes.</summary>
    private static async Task<byte[]> ReadAllAsync(NetworkStream there)
    {
        using MemoryStream read = new();
        try
        {
            await there.CopyToAsync(read, Token).WaitAsync(Patience, Token);
        }
        catch (IOException)
        {
            return read.ToArray();
        }

        return read.ToArray();
    }

    private static async Task ConditionAsync(Func<bool> holds, string what)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!holds())
        {
            Assert.False(limit.IsCancellationRequested, $"It is not so that {what}.");
            await Task.Delay(10, Token);
        }
    }

    private Task NoneIsLeftAsync() => ConditionAsync(() => node.Connections == 0, "no connection is left");

    private async Task<(Stream Here, TcpClient There)> OpenAsync()
    {
        ValueTask<TcpClient> accepting = program.AcceptTcpClientAsync(Token);
        Stream here = await attempt.ConnectAsync(Port, Token);
        return (here, await accepting);
    }
}
