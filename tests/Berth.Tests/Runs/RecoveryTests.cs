using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Testing.Clocks;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>
/// What a new server makes of a folder that the last one left in the middle of its work, and of what has grown old.
/// </summary>
public sealed class RecoveryTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_run_that_was_under_way_is_begun_again()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync(options: Idle);
        Run claimed = await LeaveRunningAsync(rig, ["echo", "again"]);

        await RestartAsync(rig);
        Run run = await rig.EndAsync(claimed.Id);

        Assert.Equal((RunState.Succeeded, 2), (run.State, run.Attempts));
        Assert.Equal("again\n", await rig.ResultAsync(run.Id));
        Assert.Contains((await rig.Manager.WhyAsync(run.Id, None)).Events, e => e.Type == RunEventTypes.Recovered);
    }

    [Fact]
    public async Task A_run_that_was_to_be_cancelled_is_cancelled()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync(options: Idle);
        Run claimed = await LeaveRunningAsync(rig, ["true"]);
        await rig.Store.RequestCancelAsync(claimed.Id,
            new RunEvent(RunBuilder.Noon, RunEventTypes.CancelRequested, 1, "why"), None);

        await RestartAsync(rig);

        Assert.Equal(RunState.Canceled, (await rig.Manager.GetAsync(claimed.Id, None)).State);
    }

    [Fact]
    public async Task A_run_that_outlived_too_many_servers_is_closed_with_the_reason()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync(options: Idle);
        Run claimed = await LeaveRunningAsync(rig, ["true"], spec => spec with { Retry = new RetryPolicy(1, false) });

        await RestartAsync(rig);
        Run run = await rig.Manager.GetAsync(claimed.Id, None);

        Assert.Equal((RunState.Failed, EndReason.PlatformFault), (run.State, run.End!.Reason));
        Assert.Contains("cut off", run.End.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Files_that_no_run_names_are_deleted()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync(options: Idle);
        RunId kept = (await rig.SubmitAsync(["cat"], new string('x', 50_000))).Run.Id;
        string orphan = Path.Combine(rig.Folder, "spool", RunId.New(RunBuilder.Noon).Text);
        Directory.CreateDirectory(orphan);
        await File.WriteAllTextAsync(Path.Combine(orphan, "input.tmp"), "half", None);

        await RestartAsync(rig);

        Assert.False(Directory.Exists(orphan));
        Assert.Equal(BodyPlace.Spooled, (await rig.EndAsync(kept)).Result.Place);
    }

    [Fact]
    public async Task Results_that_an_interrupted_attempt_left_are_deleted_and_its_input_is_not()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync(options: Idle);
        Run claimed = await LeaveRunningAsync(rig, ["cat"]);
        string folder = Path.Combine(rig.Folder, "spool", claimed.Id.Text);
        Directory.CreateDirectory(folder);
        foreach (string name in (string[])["input", "result-1", "result-1.tmp"])
        {
            await File.WriteAllTextAsync(Path.Combine(folder, name), "left", None);
        }

        await RestartAsync(rig);

        Assert.Equal(["input"], Directory.GetFiles(folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Logs_that_no_run_names_are_deleted()
    {
        await using RunManagerRig rig = await RunManagerRig.StartAsync();
        RunId kept = (await rig.RunAsync(["sh", "-c", "echo kept >&2"])).Id;
        string logs = Path.Combine(rig.Folder, "logs");
        string orphan = Path.Combine(logs, RunId.New(RunBuilder.Noon).Text);
        Directory.CreateDirectory(orphan);

        await RestartAsync(rig);

        await RunManagerTests.Until(() => Task.FromResult(!Directory.Exists(orphan)), "the orphan is gone");
        Assert.Equal([Path.Combine(logs, kept.Text)], Directory.GetDirectories(logs));
    }

    [Fact]
    public async Task A_waiting_run_over_its_age_is_closed()
    {
        ManualTime time = new();
        await using RunManagerRig rig = await RunManagerRig.StartAsync(time, Idle);
        RunId id = (
            await rig.SubmitAsync(["true"], with: spec => spec with { MaxAge = TimeSpan.FromSeconds(10) })).Run.Id;

        await AdvanceUntilAsync(time, async () => (await rig.Manager.GetAsync(id, None)).State.IsTerminal(),
            "the run is closed");
        Run run = await rig.Manager.GetAsync(id, None);

        Assert.Equal((RunState.Failed, EndReason.Expired), (run.State, run.End!.Reason));
        await RunManagerTests.Until(() => Task.FromResult(rig.Manager.Statistics().Queued == 0),
            "nothing is counted as waiting");
    }

    [Fact]
    public async Task Bodies_then_logs_then_records_go_when_their_time_has_come()
    {
        ManualTime time = new();
        await using RunManagerRig rig = await RunManagerRig.StartAsync(time);
        Run run = await rig.RunAsync(["cat"], new string('x', 50_000));

        time.Jump(TimeSpan.FromHours(23));
        Assert.Equal(BodyPlace.Spooled, (await rig.Manager.GetAsync(run.Id, None)).Result.Place);
        await AdvanceUntilAsync(
            time, async () =>
                (await rig.Manager.GetAsync(run.Id, None)).Result.Place == BodyPlace.Expired, "the result expires",
            TimeSpan.FromMinutes(10));
        var error = await Assert.ThrowsAsync<BerthException>(() => rig.Manager.ResultAsync(run.Id, None));
        Assert.Equal(ErrorCode.ResultExpired, error.Code);
        Assert.Empty(rig.Spool.List());

        time.Jump(TimeSpan.FromDays(30));
        await AdvanceUntilAsync(time, async () => await rig.Store.FindAsync(run.Id, None) is null,
            "the record is deleted");
    }

    [Fact]
    public async Task The_log_of_a_run_that_lives_and_says_little_is_kept()
    {
        ManualTime time = new();
        await using RunManagerRig rig = await RunManagerRig.StartAsync(time);
        RunId ended = (await rig.RunAsync(["sh", "-c", "echo done >&2"])).Id;
        RunId quiet = (await rig.SubmitAsync(
            ["sh", "-c", "echo begun >&2; sleep 2592000"],
            with: spec => spec with { Timeout = TimeSpan.FromDays(30) })).Run.Id;
        string logs = Path.Combine(rig.Folder, "logs");
        await RunManagerTests.Until(
            () => Task.FromResult(File.Exists(Path.Combine(logs, quiet.Text, "000000.log"))), "it has said something");
        foreach (string entry in Directory.GetFileSystemEntries(logs, "*", SearchOption.AllDirectories))
        {
            File.SetLastWriteTimeUtc(entry, time.GetUtcNow().UtcDateTime);
        }

        time.Jump(TimeSpan.FromDays(8));
        await AdvanceUntilAsync(
            time, () => Task.FromResult(!Directory.Exists(Path.Combine(logs, ended.Text))), "the old log is gone");
        RunId later = (await rig.RunAsync(["sh", "-c", "echo later >&2"])).Id;
        File.SetLastWriteTimeUtc(Path.Combine(logs, later.Text, "000000.log"), time.GetUtcNow().UtcDateTime);
        Directory.SetLastWriteTimeUtc(Path.Combine(logs, later.Text), time.GetUtcNow().UtcDateTime);
        time.Jump(TimeSpan.FromDays(8));
        await AdvanceUntilAsync(
            time, () => Task.FromResult(!Directory.Exists(Path.Combine(logs, later.Text))), "the next pass is over");

        Assert.True(File.Exists(Path.Combine(logs, quiet.Text, "000000.log")));
    }

    [Fact]
    public async Task An_attempt_that_never_reports_loses_its_claim()
    {
        ManualTime time = new();
        await using RunManagerRig rig = await RunManagerRig.StartAsync(time);
        RunId id = (await rig.SubmitAsync(
            ["sh", "-c", "trap '' TERM; sleep 86400"],
            with: spec => spec with { Grace = TimeSpan.FromHours(1), Retry = new RetryPolicy(1, false) })).Run.Id;
        await rig.RunningAsync(id);

        await AdvanceUntilAsync(
            time, async () =>
                (await rig.Manager.GetAsync(id, None)).State.IsTerminal(), "the attempt is given up",
                TimeSpan.FromMinutes(5));

        Run run = await rig.Manager.GetAsync(id, None);
        Assert.Equal(RunState.Failed, run.State);
    }

    private static Berth.Server.Runs.RunOptions Idle => RunManagerRig.SmallOptions with { MaxRunning = 0 };

    /// <summary>The state in which kill -9 leaves a run: claimed and started, nobody to report.</summary>
    private static async Task<Run> LeaveRunningAsync(RunManagerRig rig, string[] command,
        Func<RunSpec, RunSpec>? with = null)
    {
        await rig.SubmitAsync(command, with: with);
        ClaimedRun claimed = Assert.Single(
            await rig.Store.ClaimAsync(new ClaimOrder(1, DateTimeOffset.MaxValue), None));
        await rig.Store.SaveAsync(RunBuilder.Running(claimed.Run, RunBuilder.Noon), None);
        return claimed.Run;
    }

    private static async Task RestartAsync(RunManagerRig rig)
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = RunManagerRig.SmallOptions;
        await rig.BeginAsync();
    }

    private static async Task AdvanceUntilAsync(
        ManualTime time, Func<Task<bool>> condition, string expected,
        TimeSpan? step = null) => await RunManagerTests.Until(
        async () =>
        {
            if (await condition())
            {
                return true;
            }

            time.Advance(step ?? TimeSpan.FromSeconds(30));
            return false;
        },
        expected);
}
