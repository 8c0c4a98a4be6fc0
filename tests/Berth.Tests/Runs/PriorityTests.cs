using Berth.Api.Runs;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>Which tasks get the places, and who gives his up.</summary>
public sealed class PriorityTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private RunManagerRig rig = null!;

    public async ValueTask InitializeAsync() =>
        rig = await RunManagerRig.StartAsync(options: RunManagerRig.SmallOptions with { MaxRunning = 1 });

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task What_gives_way_is_ended_for_other_tasks_and_begun_anew_after_them()
    {
        RunId batch = await SubmitAsync(-1, "sleep", "60");
        await rig.RunningAsync(batch);

        RunId other = await SubmitAsync(0, "true");
        Run ended = await rig.EndAsync(other);
        await SeenAsync(batch, RunEventTypes.Started, times: 2);
        Run again = await rig.Manager.GetAsync(batch, None);

        Assert.Equal(RunState.Succeeded, ended.State);
        Assert.Equal(1, again.Attempts);
        Assert.Single((await rig.Manager.WhyAsync(batch, None)).Events, e => e.Type == RunEventTypes.Preempted);
        Assert.Equal((1, 0), (rig.Manager.Statistics().Preempted, rig.Manager.Statistics().Retried));
    }

    [Fact]
    public async Task What_gives_way_is_ended_for_calls()
    {
        RunId batch = await SubmitAsync(-1, "sleep", "60");
        await rig.RunningAsync(batch);

        await using LiveCall call = await rig.Manager.CallAsync(
            RunBuilder.Spec() with { Command = ["true"] }, "somebody", null, None);

        await SeenAsync(batch, RunEventTypes.Preempted);
    }

    [Fact]
    public async Task Only_what_is_below_zero_gives_way_and_only_to_what_is_not()
    {
        RunId usual = await SubmitAsync(0, "sleep", "60");
        await rig.RunningAsync(usual);
        RunId high = await SubmitAsync(100, "true");
        await rig.Manager.CancelAsync(usual, None);
        await rig.EndAsync(high);
        RunId lowest = await SubmitAsync(-100, "sleep", "60");
        await rig.RunningAsync(lowest);
        RunId low = await SubmitAsync(-1, "true");
        await rig.Manager.CancelAsync(lowest, None);
        await rig.EndAsync(low);

        Assert.Equal(0, rig.Manager.Statistics().Preempted);
    }

    private async Task SeenAsync(RunId id, string type, int times = 1)
    {
        await foreach (RunEventView entry in rig.Manager.EventsAsync(id, 0, None))
        {
            times -= entry.Type == type ? 1 : 0;
            if (times == 0)
            {
                return;
            }
        }

        Assert.Fail($"Run {id} ended without {type}.");
    }

    private async Task<RunId> SubmitAsync(int priority, params string[] command) => (await rig.SubmitAsync(
        command, with: spec => spec with { Priority = priority, Grace = TimeSpan.Zero })).Run.Id;
}
