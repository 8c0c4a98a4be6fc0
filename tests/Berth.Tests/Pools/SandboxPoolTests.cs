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

/// <summary>The pools behind a node, over an engine without containers.</summary>
public sealed class SandboxPoolTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly SandboxSpec Spec = new(Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None);

    private readonly FakeEngine engine = new(TimeProvider.System);
    private readonly NoImages images = new();
    private LocalNode node = null!;

    public ValueTask InitializeAsync() => UseAsync(PoolLimits.None, TimeProvider.System);

    public async ValueTask DisposeAsync()
    {
        await node.DisposeAsync();
        Assert.Empty(engine.Living);
        Assert.Equal(0, images.Open);
    }

    [Fact]
    public async Task A_start_that_finds_none_waits_for_one_to_be_made()
    {
        await using IAttempt attempt = await StartAsync();

        Assert.False(attempt.Preparation.Prepared);
        Assert.Equal(1, engine.Created);
    }

    [Fact]
    public async Task What_is_expected_stands_ready_and_is_used_once()
    {
        await UseAsync(PoolLimits.Default with { LeastReady = 2, MostReady = 2 }, TimeProvider.System);
        node.Expect(Spec);
        await UntilAsync(() => Ready() == 2, "two stand ready");
        string[] waiting = [.. node.Status().Sandboxes.Select(s => s.Id)];

        await using IAttempt attempt = await StartAsync();

        Assert.True(attempt.Preparation.Prepared);
        string used = Assert.Single(node.Status().Sandboxes, s => s.Attempt == attempt.Spec.Id).Id;
        Assert.Contains(used, waiting);
        await UntilAsync(() => Ready() == 2, "the pool is full again");
        Assert.DoesNotContain(node.Status().Sandboxes, s => s.Id == used && s.State == "ready");
    }

    [Fact]
    public async Task A_dead_sandbox_is_passed_over()
    {
        await UseAsync(PoolLimits.Default with { LeastReady = 1, MostReady = 1 }, TimeProvider.System);
        node.Expect(Spec);
        await UntilAsync(() => Ready() == 1, "one stands ready");
        engine.Living.Single().KillInit();

        await using IAttempt attempt = await StartAsync();

        Assert.False(attempt.Completion.IsCompleted);
    }

    [Fact]
    public async Task No_more_are_made_at_once_for_callers_than_two_to_a_core()
    {
        int limit = 2 * Environment.ProcessorCount;
        Action release = engine.HoldCreations();
        Task<IAttempt>[] starts = [.. Enumerable.Range(0, limit + 6).Select(_ => StartAsync())];
        await UntilAsync(() => engine.Creating == limit, "every core makes two");

        int most = engine.Creating;
        release();
        IAttempt[] attempts = await Task.WhenAll(starts).WaitAsync(Patience);

        Assert.Equal(limit, most);
        foreach (IAttempt attempt in attempts)
        {
            await attempt.DisposeAsync();
        }
    }

    [Fact]
    public async Task No_more_are_made_ahead_at_once_than_there_are_cores()
    {
        int wanted = 3 * Environment.ProcessorCount;
        await UseAsync(PoolLimits.Default with { LeastReady = wanted, MostReady = wanted }, TimeProvider.System);
        Action release = engine.HoldCreations();
        node.Expect(Spec);
        await UntilAsync(() => engine.Creating == Environment.ProcessorCount, "every core makes one");

        int most = engine.Creating;
        release();
        await UntilAsync(() => Ready() == wanted, "all stand ready");

        Assert.Equal(Environment.ProcessorCount, most);
    }

    [Fact]
    public async Task What_a_canceled_start_would_have_got_goes_to_the_next()
    {
        Action release = engine.HoldCreations();
        using var cancel = new CancellationTokenSource();
        Task<IAttempt> canceled = StartAsync(cancel.Token);
        await UntilAsync(() => engine.Creating == 1, "its sandbox is being made");

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => canceled);
        Task<IAttempt> next = StartAsync();
        release();
        await using IAttempt attempt = await next.WaitAsync(Patience);

        Assert.Equal(1, engine.Created);
    }

    [Fact]
    public async Task A_fault_reaches_the_start_that_waited_and_no_other()
    {
        engine.FailNext(FakeEngine.MachineFault("The disk is gone."));

        BerthException fault = await Assert.ThrowsAsync<BerthException>(() => StartAsync());
        await using IAttempt attempt = await StartAsync();

        Assert.Equal("The disk is gone.", fault.Message);
        Assert.Equal(1, node.Status().Faults);
    }

    [Fact]
    public async Task An_unexpected_exception_is_told_as_a_fault_of_the_node()
    {
        engine.FailNext(new IOException("The folder of a layer is gone."));

        BerthException fault = await Assert.ThrowsAsync<BerthException>(() => StartAsync());

        Assert.Equal(ErrorCode.NodeFault, fault.Code);
        Assert.Contains("The folder of a layer is gone.", fault.Message, StringComparison.Ordinal);
        Assert.Equal(1, node.Status().Faults);
    }

    [Fact]
    public async Task What_the_image_is_to_blame_for_is_no_fault_of_the_node_and_a_full_disk_is()
    {
        engine.FailNext(new BerthException(ErrorCode.ArchiveRefused, "Its /proc is a link."));
        await Assert.ThrowsAsync<BerthException>(() => StartAsync());
        long blamedOnImage = node.Status().Faults;
        engine.FailNext(new BerthException(ErrorCode.StorageFull, "The disk is full."));
        await Assert.ThrowsAsync<BerthException>(() => StartAsync());

        Assert.Equal((0, 1), (blamedOnImage, node.Status().Faults));
    }

    [Fact]
    public async Task A_missing_image_is_told()
    {
        images.Missing = Spec.Image;

        BerthException error = await Assert.ThrowsAsync<BerthException>(() => StartAsync());

        Assert.Equal(ErrorCode.ImageNotFound, error.Code);
    }

    [Fact]
    public async Task An_image_is_held_while_a_sandbox_of_it_lives()
    {
        IAttempt attempt = await StartAsync();
        Assert.Equal(1, images.Open);

        await attempt.DisposeAsync();
        await node.StopAsync(CancellationToken.None);

        Assert.Equal(0, images.Open);
    }

    [Fact]
    public async Task A_shape_left_idle_keeps_none()
    {
        var time = new ManualTime();
        await UseAsync(PoolLimits.Default with { LeastReady = 2, MostReady = 2 }, time);
        node.Expect(Spec);
        await UntilAsync(() => Ready() == 2, "two stand ready");

        time.Advance(PoolLimits.Default.IdleExpiry);
        await UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(10));
                return engine.Living.Count == 0 && images.Open == 0;
            },
            "they are gone and their image is let go");
    }

    [Fact]
    public async Task Stopping_ends_programs_waiting_starts_and_ready_sandboxes()
    {
        await UseAsync(PoolLimits.Default with { LeastReady = 1, MostReady = 1 }, TimeProvider.System);
        IAttempt running = await StartAsync();
        await UntilAsync(() => Ready() == 1, "one stands ready");

        await node.StopAsync(CancellationToken.None);

        Assert.Equal(EndReason.PlatformFault, (await running.Completion).Reason);
        Assert.Empty(engine.Living);
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => StartAsync());
        Assert.Equal(ErrorCode.ShuttingDown, refusal.Code);
        await running.DisposeAsync();
    }

    private int Ready() => node.Status().Sandboxes.Count(s => s.State == "ready");

    private async ValueTask UseAsync(PoolLimits limits, TimeProvider time)
    {
        var options = new NodeOptions("test", "0000abcd") { Pool = limits };
        node = new LocalNode(options, engine, images, time, NullLogger<LocalNode>.Instance);
        await node.StartAsync(CancellationToken.None);
    }

    private Task<IAttempt> StartAsync(CancellationToken cancellationToken = default)
    {
        var run = RunId.New(TimeProvider.System.GetUtcNow());
        return node.StartAsync(
            new AttemptSpec(
                run + "-1", run, 1, Spec, ["sleep", "600"], null, new Dictionary<string, string>(), null, null,
                TimeSpan.FromDays(1), TimeSpan.FromSeconds(1)),
            cancellationToken);
    }

    private static async Task UntilAsync(Func<bool> condition, string what)
    {
        long begun = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < Patience, $"Still not: {what}.");
            await Task.Delay(5);
        }
    }
}
