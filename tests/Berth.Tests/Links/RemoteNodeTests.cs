using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Nodes;
using Berth.Testing.Nodes;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>A node of another machine keeps the contract of one that is called directly.</summary>
public sealed class RemoteNodeTests() : RemoteNodeContract(LinkProtocol.Offers);

/// <summary>So does one whose program knows streams of HTTP/2 alone.</summary>
public sealed class RemoteNodeHttp2Tests() : RemoteNodeContract([LinkProtocol.Negotiated]);

public abstract class RemoteNodeContract(IReadOnlyList<string> offers) : ProgramContract, IAsyncLifetime
{
    private LinkRig rig = null!;
    private JoinedNode joined = null!;
    private RemoteNode node = null!;

    protected override INode Node => node;

    protected override SandboxSpec Sandbox { get; } =
        new(Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None);

    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        joined = await rig.JoinAsync("worker", offers: offers);
        await rig.UntilAsync("worker", n => n.State == "ready");
        node = rig.Rooms.Register.Get("worker").Node!;
    }

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task Progress_comes_over_the_link()
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", "progress 40 halfway there"]);

        await CompleteAsync(attempt);

        Assert.Equal(new ProgressReport(40, "halfway there"), await attempt.Progress.ReadAsync());
    }

    [Fact]
    public async Task Refusals_of_the_node_are_told_as_they_are()
    {
        joined.Node.FailNextStart(new BerthException(ErrorCode.ImageNotFound, "There is none.")
        {
            RetryAfter = TimeSpan.FromSeconds(3),
        });

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => StartAsync(["cat"]));

        Assert.Equal(
            (ErrorCode.ImageNotFound, "There is none.", TimeSpan.FromSeconds(3)),
            (refusal.Code, refusal.Message, refusal.RetryAfter));
        Assert.Equal(0, node.Running);
    }

    [Fact]
    public async Task A_lost_link_ends_what_was_under_way_on_both_sides()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);
        Assert.Equal(1, node.Running);

        await joined.StopAsync();
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.PlatformFault, report.Reason);
        Assert.Contains("'worker' was lost", report.Detail, StringComparison.Ordinal);
        Assert.Equal(0, node.Running);
        await Condition(() => joined.Node.Running == 0);
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => StartAsync(["cat"]));
        Assert.Equal(ErrorCode.NodeFault, refusal.Code);
        Assert.NotNull(refusal.RetryAfter);
    }

    [Fact]
    public async Task An_attempt_that_nobody_wants_any_more_ends_on_the_node()
    {
        IAttempt attempt = await StartAsync(["sleep", "600"]);

        await attempt.DisposeAsync().AsTask().WaitAsync(Patience);

        await Condition(() => joined.Node.Running == 0);
    }

    [Fact]
    public async Task A_start_that_is_given_up_leaves_nothing()
    {
        Action release = joined.Node.HoldStarts();
        using CancellationTokenSource cancelled = new();
        Task<IAttempt> starting = Node.StartAsync(
            new AttemptSpec(
                "01m7ykqgsybtfn90avew4xc7wc-1", RunId.Parse("01m7ykqgsybtfn90avew4xc7wc"), 1, Sandbox, ["sleep", "600"],
                null, new Dictionary<string, string>(), null, null, null, TimeSpan.Zero),
            cancelled.Token);

        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
        release();

        await Condition(() => joined.Node.Running == 0 && node.Running == 0);
    }

    /// <summary>The caller writes all of it whatever was sent with the order: the program gets it once.</summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(5, false)]
    [InlineData(11, false)]
    [InlineData(11, true)]
    public async Task What_has_come_of_the_input_travels_with_the_order(int ahead, bool isWhole)
    {
        byte[] text = "hello world"u8.ToArray();
        AttemptSpec order = new(
            "01m7ykqgsybtfn90avew4xc7wc-1", RunId.Parse("01m7ykqgsybtfn90avew4xc7wc"), 1, Sandbox, ["cat"],
            null, new Dictionary<string, string>(), null, null, null, TimeSpan.Zero,
            Ahead: new Known(new InputBlock(text.AsMemory(0, ahead), isWhole)));
        await using IAttempt attempt = await Node.StartAsync(order, CancellationToken.None);

        await attempt.Input.WriteAsync(text.AsMemory(0, 3));
        await attempt.Input.WriteAsync(text.AsMemory(3));
        await attempt.Input.DisposeAsync();
        using MemoryStream read = new();
        await attempt.Output.CopyToAsync(read).WaitAsync(Patience);

        Assert.Equal(text, read.ToArray());
        Assert.Equal(EndReason.Completed, (await CompleteAsync(attempt)).Reason);
    }

    private sealed record Known(InputBlock Block) : IInputAhead
    {
        public InputBlock? Peek(int most) => Block;
    }

    [Fact]
    public async Task A_stream_that_nobody_reads_holds_up_no_other()
    {
        await using IAttempt attempt = await StartAsync(["cat"]);
        byte[] part = new byte[64 * 1024];
        // More than all windows and pipes on the way take, so that the writer waits for a reader that never comes.
        using CancellationTokenSource enough = new();
        Task writing = Task.Run(async () =>
        {
            while (true)
            {
                await attempt.Input.WriteAsync(part, enough.Token);
            }
        });

        attempt.Stop(EndReason.Canceled, TimeSpan.Zero);
        AttemptReport report = await CompleteAsync(attempt);
        await enough.CancelAsync();

        Assert.Equal(EndReason.Canceled, report.Reason);
        await Assert.ThrowsAnyAsync<Exception>(() => writing);
    }

    private static async Task Condition(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!condition())
        {
            await Task.Delay(10, limit.Token);
        }
    }
}
