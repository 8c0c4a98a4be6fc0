using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node;
using Berth.Testing.Clocks;
using Berth.Testing.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Pools;

/// <summary>Reused sandboxes behind a node, over an engine without containers.</summary>
public sealed class LanePoolTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly SandboxSpec Spec = new(
        Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None, Family: "one", Reuse: 1);

    private readonly ManualTime time = new();
    private readonly FakeEngine engine = new(TimeProvider.System);
    private readonly NoImages images = new();
    private readonly LocalNode node;

    public LanePoolTests() => node = new LocalNode(
        new NodeOptions("test", "00000000") { Pool = PoolLimits.Default with { LeastReady = 0, MostReady = 0 } },
        engine, images, time, NullLogger<LocalNode>.Instance);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await node.StartAsync(Token);

    public async ValueTask DisposeAsync()
    {
        await node.DisposeAsync();
        Assert.Empty(engine.Living);
        Assert.Equal(0, images.Open);
    }

    [Fact]
    public async Task Calls_one_after_the_other_have_one_sandbox()
    {
        for (int i = 0; i < 5; i++)
        {
            await RunAsync(Spec);
        }

        Assert.Equal(1, engine.Created);
        Assert.Equal("ready", Assert.Single(node.Status().Sandboxes).State);
    }

    [Fact]
    public async Task Calls_at_once_have_as_many_as_they_need()
    {
        SandboxSpec two = Spec with { Reuse = 2 };
        IAttempt[] running = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => StartAsync(two, "sleep", "600")));

        Assert.Equal(2, engine.Created);
        foreach (IAttempt attempt in running)
        {
            await attempt.DisposeAsync();
        }
    }

    [Fact]
    public async Task One_that_waits_gets_the_place_that_is_free_first()
    {
        IAttempt first = await StartAsync(Spec, "sleep", "600");
        Action release = engine.HoldCreations();
        Task<IAttempt> second = StartAsync(Spec, "true");

        first.Signal(15);
        await first.Completion.WaitAsync(Patience, Token);
        release();

        // Ended by a signal: that sandbox serves nobody any more.
        await (await second.WaitAsync(Patience, Token)).DisposeAsync();
        await first.DisposeAsync();
        Assert.Equal(2, engine.Created);
    }

    [Fact]
    public async Task Who_stops_waiting_takes_no_place()
    {
        Action release = engine.HoldCreations();
        using CancellationTokenSource gone = new();
        Task<IAttempt> waiting = node.StartAsync(Order(Spec, "true"), gone.Token);

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        release();

        await RunAsync(Spec);
        await RunAsync(Spec);
        Assert.Equal(1, engine.Created);
    }

    [Fact]
    public async Task A_sandbox_that_can_not_be_made_is_told_to_who_waits()
    {
        engine.FailNext(new BerthException(ErrorCode.NodeFault, "The disk is gone."));

        BerthException fault = await Assert.ThrowsAsync<BerthException>(() => StartAsync(Spec, "true"));

        Assert.Contains("The disk is gone.", fault.Message, StringComparison.Ordinal);
        await RunAsync(Spec);
    }

    [Fact]
    public async Task A_dead_one_is_passed_over()
    {
        await RunAsync(Spec);
        engine.Living.Single().KillInit();

        await RunAsync(Spec);

        Assert.Equal(2, engine.Created);
    }

    [Fact]
    public async Task One_full_of_files_is_replaced_when_it_is_looked_at()
    {
        await RunAsync(Spec);
        engine.Living.Single().FilesInMemory = Spec.Limits.Memory;

        for (int i = 1; i <= ReusePolicy.MeasureEvery; i++)
        {
            await RunAsync(Spec);
        }

        Assert.Equal(2, engine.Created);
    }

    [Fact]
    public async Task Too_many_for_the_calls_go_after_a_minute_and_the_last_when_its_function_is_idle()
    {
        await Task.WhenAll(RunAsync(Spec, "sleep", "0.2"), RunAsync(Spec, "sleep", "0.2"));
        Assert.Equal(2, engine.Created);

        await AdvanceUntilAsync(ReusePolicy.SpareExpiry, () => engine.Living.Count == 1, "one is left");
        await AdvanceUntilAsync(PoolLimits.Default.IdleExpiry, () => engine.Living.Count == 0, "none is left");
    }

    [Fact]
    public async Task Families_have_their_own()
    {
        await RunAsync(Spec);
        await RunAsync(Spec with { Family = "two" });

        Assert.Equal(2, engine.Created);
    }

    private async Task AdvanceUntilAsync(TimeSpan by, Func<bool> condition, string what)
    {
        time.Advance(by);
        long begun = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            time.Advance(TimeSpan.FromSeconds(10));
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < Patience, $"Still not: {what}.");
            await Task.Delay(5, Token);
        }
    }

    private async Task RunAsync(SandboxSpec spec, params string[] command)
    {
        await using IAttempt attempt = await StartAsync(spec, command.Length == 0 ? ["true"] : command);
        AttemptReport report = await attempt.Completion.WaitAsync(Patience, Token);
        Assert.Equal(EndReason.Completed, report.Reason);
    }

    private Task<IAttempt> StartAsync(SandboxSpec spec, params string[] command) =>
        node.StartAsync(Order(spec, command), Token).WaitAsync(Patience, Token);

    private static AttemptSpec Order(SandboxSpec spec, params string[] command)
    {
        var run = RunId.New(TimeProvider.System.GetUtcNow());
        return new AttemptSpec(
            run + "-1", run, 1, spec, command, null, new Dictionary<string, string>(), null, null,
            TimeSpan.FromHours(24), TimeSpan.Zero);
    }
}
