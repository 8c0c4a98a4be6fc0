using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Server.Spool;
using Berth.Server.Store;
using Berth.Testing.Runs;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>Whatever goes wrong on the server's side, a run ends and its end tells the truth.</summary>
public sealed class FaultTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly RetryPolicy Once = new(1, OnProgramFailure: false);

    private RunManagerRig rig = null!;

    public async ValueTask InitializeAsync() => rig = await RunManagerRig.StartAsync();

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task An_unexpected_exception_of_the_node_is_a_fault_of_the_platform()
    {
        rig.Node.FailNextStart(new IOException("a folder is missing"));
        Run again = await rig.RunAsync(["true"]);
        rig.Node.FailNextStart(new IOException("a folder is missing"));
        Run once = await rig.RunAsync(["true"], with: spec => spec with { Retry = Once });

        Assert.Equal((RunState.Succeeded, 2), (again.State, again.Attempts));
        Assert.Equal((RunState.Failed, EndReason.PlatformFault), (once.State, once.End!.Reason));
        Assert.Contains("log has the cause", once.End.Detail, StringComparison.Ordinal);
        Assert.Equal(0, rig.Manager.Statistics().Running);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_input_is_kept_until_it_is_known_whether_its_failed_submission_is_true(bool isTrue)
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Around = store => FaultyStore.Over(store, (method, args) =>
        {
            if (method != nameof(IRunStore.AcceptAsync))
            {
                return null;
            }

            rig.Around = whole => whole;
            if (isTrue)
            {
                store.AcceptAsync((NewRun)args[0]!, None).Wait(None);
            }

            return new BerthException(ErrorCode.StorageFault, "the sync failed", new IOException());
        });
        await rig.BeginAsync();
        string input = new('x', RunSpool.InlineLimit + 1);
        await Assert.ThrowsAsync<BerthException>(() => rig.SubmitAsync(["cat"], input, key: "k"));
        RunId first = Assert.Single(rig.Manager.Rooms.Spool.List());

        await rig.StopAsync(TimeSpan.Zero);
        await rig.BeginAsync();
        Run run = await rig.EndAsync((await rig.SubmitAsync(["cat"], input, key: "k")).Run.Id);

        Assert.Equal((RunState.Succeeded, isTrue), (run.State, run.Id == first));
        Assert.Equal(input.Length, run.Result.Length);
        Assert.Single(rig.Manager.Rooms.Spool.List());
    }

    /// <summary>Decision 0136. One of many: a machine that is busy may take longer over any of them.</summary>
    [Fact]
    public async Task A_task_that_is_over_in_a_moment_is_written_once_with_its_start_and_its_end()
    {
        ConcurrentQueue<RunChange> written = [];
        await UseStoreAsync((method, args) =>
        {
            if (method == nameof(IRunStore.SaveAsync))
            {
                written.Enqueue((RunChange)args[0]!);
            }

            return null;
        });

        RunChange? alone = null;
        for (int i = 0; i < 200 && alone is null; i++)
        {
            Run run = await rig.RunAsync(["echo", "ok"]);
            Assert.Equal((RunState.Succeeded, 1), (run.State, run.Attempts));
            Assert.NotNull(run.StartedAt);
            alone = written.Count(change => change.Next.Id == run.Id) == 1 ? written.Last() : null;
        }

        Assert.Equal(
            [RunEventTypes.Claimed, RunEventTypes.Started, RunEventTypes.Ended],
            alone!.Events.Select(entry => entry.Type));
    }

    [Fact]
    public async Task An_unexpected_exception_while_the_program_runs_is_a_fault_of_the_platform()
    {
        int left = 1;
        await UseStoreAsync((method, args) =>
            method == nameof(IRunStore.SaveAsync)
                && args[0] is RunChange { Next.State: RunState.Running or RunState.Succeeded }
                && Interlocked.Exchange(ref left, 0) == 1
                ? new InvalidOperationException("a statement is wrong") : null);

        Run run = await rig.RunAsync(["echo", "ok"]);

        Assert.Equal((RunState.Succeeded, 2), (run.State, run.Attempts));
        Assert.Equal(0, rig.Node.Running);
    }

    [Theory]
    [InlineData(ErrorCode.ImageNotFound)]
    [InlineData(ErrorCode.ManifestInvalid)]
    [InlineData(ErrorCode.ArchiveRefused)]
    [InlineData(ErrorCode.InvalidRequest)]
    public async Task What_the_image_is_to_blame_for_is_not_tried_again_and_is_told_as_it_is(ErrorCode code)
    {
        rig.Node.FailNextStart(new BerthException(code, "its /proc is a link"));
        Run task = await rig.RunAsync(["true"]);
        rig.Node.FailNextStart(new BerthException(code, "its /proc is a link"));
        BerthException told = await Assert.ThrowsAsync<BerthException>(
            () => rig.Manager.CallAsync(RunBuilder.Spec(), "admin", null, None));
        Run call = Assert.Single((await rig.Manager.ListAsync(
            RunManagerTests.Everything with { Kind = RunKind.Call }, None)).Runs);

        Assert.Equal((RunState.Failed, EndReason.NotRunnable, 1), (task.State, task.End!.Reason, task.Attempts));
        Assert.Equal("its /proc is a link", task.End.Detail);
        Assert.Equal((code, EndReason.NotRunnable), (told.Code, call.End!.Reason));
    }

    [Fact]
    public async Task An_input_cut_short_in_the_spool_is_a_fault_and_not_a_shorter_input()
    {
        Run run = await RunOnSpooledInputAsync(path =>
        {
            using FileStream file = File.OpenWrite(path);
            file.SetLength(40_000);
        });

        Assert.Equal((RunState.Failed, EndReason.PlatformFault), (run.State, run.End!.Reason));
        Assert.Contains("40,000 of the 100,000", run.End.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_input_that_can_not_be_read_is_a_fault_and_not_an_empty_input()
    {
        Run run = await RunOnSpooledInputAsync(path =>
        {
            File.Delete(path);
            // Nothing is mapped at its beginning: it opens, and reading it is an I/O error.
            File.CreateSymbolicLink(path, "/proc/self/mem");
        });

        Assert.Equal((RunState.Failed, EndReason.PlatformFault), (run.State, run.End!.Reason));
        Assert.Contains("can't be read", run.End.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_may_leave_its_input_unread()
    {
        Run run = await rig.RunAsync(["true"], new string('x', 3_000_000));

        Assert.Equal(RunState.Succeeded, run.State);
    }

    [Fact]
    public async Task One_record_that_can_not_be_written_is_lost_alone()
    {
        RunId broken = default;
        await UseStoreAsync((method, args) => method == nameof(IRunStore.RecordAsync) && ((Run)args[0]!).Id == broken
            ? new InvalidOperationException("a statement is wrong") : null);
        await using (LiveCall call = await CallAsync("sleep", "60"))
        {
            broken = call.Id;
        }

        await RunManagerTests.Until(() => Task.FromResult(rig.Manager.Statistics().LostRecords == 1), "one is lost");
        LiveCall next = await CallAsync("true");
        await next.DisposeAsync();

        await RunManagerTests.Until(
            async () => await rig.Store.FindAsync(next.Id, None) is not null, "the next is recorded");
        Assert.Equal([next.Id], (await rig.Manager.ListAsync(RunManagerTests.Everything, None)).Runs.Select(r => r.Id));
        Assert.Equal(1, rig.Manager.Statistics().LostRecords);
    }

    [Fact]
    public async Task A_stop_ends_although_no_record_can_be_kept()
    {
        await UseStoreAsync((method, _) => method == nameof(IRunStore.RecordAsync)
            ? new BerthException(ErrorCode.StorageFault, "no disk today") : null);
        LiveCall[] calls = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => CallAsync("sleep", "60")));

        await rig.Manager.StopAsync(TimeSpan.Zero, None);

        Assert.All(calls, call => Assert.True(call.Completion.IsCompleted));
        Assert.Equal(4, rig.Manager.Statistics().LostRecords);
        foreach (LiveCall call in calls)
        {
            await call.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_run_has_what_all_its_attempts_used()
    {
        rig.Node.FailNextMachine("the machine broke");
        rig.Node.FailNextMachine("the machine broke again");

        Run run = await rig.RunAsync(["cat"], "hello");

        Assert.Equal((RunState.Succeeded, 3), (run.State, run.Attempts));
        Assert.Equal(TimeSpan.FromMilliseconds(3), run.End!.Usage.CpuUser);
        Assert.Equal(1024 * 1024, run.End.Usage.PeakMemory.Bytes);
    }

    private async Task UseStoreAsync(Func<string, object?[], Exception?> fault)
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Around = store => FaultyStore.Over(store, fault);
        await rig.BeginAsync();
    }

    /// <summary>Runs <c>cat</c> once on 100,000 bytes that something happened to while they waited.</summary>
    private async Task<Run> RunOnSpooledInputAsync(Action<string> change)
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = rig.Options with { MaxRunning = 0 };
        await rig.BeginAsync();
        RunId id = (await rig.SubmitAsync(
            ["cat"], new string('x', 100_000), with: spec => spec with { Retry = Once })).Run.Id;
        await rig.StopAsync(TimeSpan.Zero);
        change(Path.Combine(rig.Folder, "spool", id.Text, "input"));
        rig.Options = RunManagerRig.SmallOptions;
        await rig.BeginAsync();
        return await rig.EndAsync(id);
    }

    private Task<LiveCall> CallAsync(params string[] command) => rig.Manager.CallAsync(
        RunSpec.For("demo/cat:1", RunBuilder.Image, RunKind.Call) with { Command = command }, "admin", null, None);
}
