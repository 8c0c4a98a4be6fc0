using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Testing.Clocks;
using Berth.Testing.Runs;
using Xunit;
using static Berth.Tests.Runs.RunManagerTests;

namespace Berth.Tests.Runs;

/// <summary>Setting the wall clock changes time stamps and nothing else.</summary>
public sealed class ClockTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private readonly ManualTime time = new();
    private RunManagerRig rig = null!;

    private static RunOptions Idle => RunManagerRig.SmallOptions with { MaxRunning = 0 };

    public async ValueTask InitializeAsync() =>
        rig = await RunManagerRig.StartAsync(time, RunManagerRig.SmallOptions with { MaxRunning = 1 });

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task A_waiting_task_is_begun_although_the_clock_was_set_back()
    {
        RunId first = (await rig.SubmitAsync(["sleep", "60"])).Run.Id;
        await rig.RunningAsync(first);
        RunId waiting = (await rig.SubmitAsync(["true"])).Run.Id;

        time.Jump(-Hour);
        await rig.Manager.CancelAsync(first, None);

        await EndedAsync(waiting);
        Run run = await rig.Manager.GetAsync(waiting, None);
        Assert.Equal((RunState.Succeeded, TimeSpan.Zero), (run.State, run.Timings.Queue));
    }

    [Fact]
    public async Task A_retry_comes_after_its_delay_although_the_clock_was_set_back()
    {
        rig.Node.FailNextMachine("the machine broke");
        RunId id = (await rig.SubmitAsync(["true"])).Run.Id;
        await Until(
            async () => await rig.Manager.GetAsync(id, None) is { State: RunState.Queued, Attempts: 1 }
                or { Attempts: 2 },
            "it waits for its second attempt");

        time.Jump(-Hour);

        await Until(
            async () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(50));
                return (await rig.Manager.GetAsync(id, None)).State == RunState.Succeeded;
            },
            "the second attempt succeeded");
    }

    [Fact]
    public async Task A_clock_set_forward_makes_no_task_too_old()
    {
        await RestartAsync(Idle);
        RunId old = (await SubmitAsync(TimeSpan.FromMinutes(10))).Id;

        time.Jump(Hour);
        RunId expired = (await SubmitAsync(TimeSpan.FromSeconds(2))).Id;

        await Until(
            async () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(500));
                return (await rig.Manager.GetAsync(expired, None)).State.IsTerminal();
            },
            "a task that waited too long is closed");
        Assert.Equal(RunState.Queued, (await rig.Manager.GetAsync(old, None)).State);
    }

    [Fact]
    public async Task A_server_started_after_the_clock_was_set_back_begins_what_waits()
    {
        await RestartAsync(Idle);
        RunId never = (await rig.SubmitAsync(["true"])).Run.Id;
        Run tried = (await rig.SubmitAsync(["true"])).Run;
        await rig.StopAsync(TimeSpan.Zero);
        time.Jump(-Hour);
        rig.Options = RunManagerRig.SmallOptions;
        await rig.BeginAsync();

        await EndedAsync(never);
        await EndedAsync(tried.Id);
    }

    [Fact]
    public async Task What_was_handed_back_waits_from_then_on()
    {
        RunId id = (await rig.SubmitAsync(["sleep", "30"])).Run.Id;
        await rig.RunningAsync(id);
        time.Advance(TimeSpan.FromSeconds(10));
        await RestartAsync(rig.Options);
        await rig.RunningAsync(id);

        Assert.Equal(TimeSpan.Zero, (await rig.Manager.GetAsync(id, None)).Timings.Queue);
    }

    private async Task<Run> SubmitAsync(TimeSpan maxAge) =>
        (await rig.SubmitAsync(["true"], with: spec => spec with { MaxAge = maxAge })).Run;

    private async Task RestartAsync(RunOptions options)
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = options;
        await rig.BeginAsync();
    }

    private Task EndedAsync(RunId id) => Until(
        async () => (await rig.Manager.GetAsync(id, None)).State.IsTerminal(), $"run {id} has ended");
}
