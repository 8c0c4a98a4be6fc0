using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Server.Spool;
using Berth.Server.Store;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Equal task managers on one PostgreSQL.</summary>
public sealed class ClusterTests(SharedPostgres postgres)
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Servers_share_what_one_of_them_accepted()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ClusterMember one = await ClusterMember.StartAsync(address, "one");
        await using ClusterMember two = await ClusterMember.StartAsync(address, "two");

        RunId[] ids = await Task.WhenAll(Enumerable.Range(0, 60).Select(
            async _ => (await one.Rig.SubmitAsync(["sleep", "0.2"])).Run.Id));
        Run[] ended = await Task.WhenAll(ids.Select(two.Rig.EndAsync));

        Assert.All(ended, run => Assert.Equal((RunState.Succeeded, 1), (run.State, run.Attempts)));
        Assert.NotEqual(0, one.Rig.Manager.Statistics().Ended.Values.Sum());
        Assert.NotEqual(0, two.Rig.Manager.Statistics().Ended.Values.Sum());
        Assert.Equal(
            60, one.Rig.Manager.Statistics().Ended.Values.Sum() + two.Rig.Manager.Statistics().Ended.Values.Sum());
    }

    [Fact]
    public async Task What_another_server_has_no_image_for_is_left_to_the_one_that_has()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ClusterMember one = await ClusterMember.StartAsync(address, "one");
        await using ClusterMember two = await ClusterMember.StartAsync(address, "two", _ => false);

        RunId[] ids = await Task.WhenAll(Enumerable.Range(0, 20).Select(
            async _ => (await one.Rig.SubmitAsync(["sleep", "0.2"])).Run.Id));
        await Task.WhenAll(ids.Select(one.Rig.EndAsync));

        Assert.Equal(0, two.Rig.Manager.Statistics().Ended.Values.Sum());
    }

    [Fact]
    public async Task What_a_lost_server_had_under_way_runs_again_on_another_one()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ClusterMember one = await ClusterMember.StartAsync(address, "one");
        ClusterMember two = await ClusterMember.StartAsync(address, "two");
        RunId[] ids = await Task.WhenAll(Enumerable.Range(0, 30).Select(
            async _ => (await two.Rig.SubmitAsync(["sleep", "0.5"])).Run.Id));
        await UntilAsync(() => two.Rig.Manager.Executing.Count > 0);

        await two.DieAsync();
        Run[] ended = await Task.WhenAll(ids.Select(one.Rig.EndAsync));

        Assert.All(ended, run => Assert.Equal(RunState.Succeeded, run.State));
        Assert.Contains(ended, run => run.Attempts == 2);
        foreach (RunId id in ids)
        {
            Assert.Single(
                await one.Rig.Store.EventsAsync(id, 0, 100, None), e => e.Event.Type == RunEventTypes.Ended);
        }
    }

    [Fact]
    public async Task What_a_server_reports_that_was_taken_for_lost_is_refused_and_its_program_ended()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ClusterMember two = await ClusterMember.StartAsync(address, "two");
        RunId id = (await two.Rig.SubmitAsync(["sleep", "30"])).Run.Id;
        await two.Rig.RunningAsync(id);
        (_, int before) = Assert.Single(two.Rig.Manager.Executing);
        await using ClusterMember one = await ClusterMember.StartAsync(address, "one");

        await two.FallSilentAsync();
        await UntilAsync(() => one.Rig.Manager.Executing.Any(claim => claim.Id == id && claim.Generation > before));
        two.Speak();

        await UntilAsync(() => two.Rig.Manager.Executing.Count == 0);
        // The first attempt's start is told too: only the record says that the second one's is stored.
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        Run run = (await one.Rig.Store.FindAsync(id, None))!;
        while (run.State == RunState.Starting)
        {
            await Task.Delay(20, limit.Token);
            run = (await one.Rig.Store.FindAsync(id, None))!;
        }

        Assert.Equal((RunState.Running, 2), (run.State, run.Attempts));
        await one.Rig.Manager.CancelAsync(id, None);
        Assert.Equal(RunState.Canceled, (await one.Rig.EndAsync(id)).State);
    }

    [Fact]
    public async Task A_run_is_cancelled_and_followed_from_whichever_server()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ClusterMember one = await ClusterMember.StartAsync(address, "one", _ => false);
        await using ClusterMember two = await ClusterMember.StartAsync(address, "two", _ => false);
        RunId id = (await two.Rig.SubmitAsync(["sleep", "30"])).Run.Id;

        // Heard of at the other one, by its event.
        await one.Rig.RunningAsync(id);
        await one.Rig.Manager.CancelAsync(id, None);

        Assert.Equal(RunState.Canceled, (await one.Rig.EndAsync(id)).State);
        Assert.Equal(RunState.Canceled, (await two.Rig.EndAsync(id)).State);
    }

    [Fact]
    public async Task A_server_that_comes_back_takes_up_its_own()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        ClusterMember two = await ClusterMember.StartAsync(address, "two");
        RunId id = (await two.Rig.SubmitAsync(["sleep", "0.5"])).Run.Id;
        await two.Rig.RunningAsync(id);
        await two.DieAsync();

        await using ClusterMember again = await ClusterMember.StartAsync(address, "two");

        Run ended = await again.Rig.EndAsync(id);
        Assert.Equal((RunState.Succeeded, 2), (ended.State, ended.Attempts));
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
