using System.Text;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Berth.Server.Store;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

public sealed class RunManagerTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private RunManagerRig rig = null!;

    public async ValueTask InitializeAsync() => rig = await RunManagerRig.StartAsync();

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task A_task_gets_its_input_and_its_output_is_kept()
    {
        Run run = await rig.RunAsync(["cat"], "hello");

        Assert.Equal((RunState.Succeeded, EndReason.Completed, 0), (run.State, run.End!.Reason, run.End.ExitCode));
        Assert.Equal("hello", await rig.ResultAsync(run.Id));
        Assert.Equal("fake", run.Node);
        Assert.Equal(5, run.End.Usage.BytesIn);
        using StreamReader input = new((await rig.Manager.InputAsync(run.Id, None)).Stream);
        Assert.Equal("hello", await input.ReadToEndAsync(None));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(200_000)]
    public async Task A_node_may_know_a_tasks_input_beforehand_where_it_is_in_memory(int length)
    {
        Run run = await rig.RunAsync(["cat"], new string('x', length));

        InputBlock? known = rig.Node.Started.Single(a => a.Run == run.Id).Ahead?.Peek(1024);
        (int, bool)? told = known is { } block ? (block.Bytes.Length, block.IsWhole) : null;
        Assert.Equal(run.Input.Place == BodyPlace.Spooled ? null : (length, true), told);
    }

    [Fact]
    public async Task A_large_body_goes_through_files_that_can_be_read_from_the_middle()
    {
        string large = new('x', 200_000);
        Run run = await rig.RunAsync(["cat"], large);

        RunContent result = await rig.Manager.ResultAsync(run.Id, None);
        await using Stream stream = result.Stream;

        Assert.Equal((BodyPlace.Spooled, BodyPlace.Spooled), (run.Input.Place, run.Result.Place));
        Assert.Equal(large.Length, result.Length);
        stream.Seek(199_999, SeekOrigin.Begin);
        Assert.Equal('x', stream.ReadByte());
        Assert.Equal(-1, stream.ReadByte());
    }

    [Fact]
    public async Task A_failing_program_is_not_tried_again_unless_asked()
    {
        Run once = await rig.RunAsync(["sh", "-c", "echo broken >&2; exit 3"]);
        Run thrice = await rig.RunAsync(
            ["false"], with: spec => spec with { Retry = new RetryPolicy(3, OnProgramFailure: true) });

        Assert.Equal((RunState.Failed, EndReason.ExitCode, 3, 1),
            (once.State, once.End!.Reason, once.End.ExitCode, once.Attempts));
        Assert.Equal((RunState.Failed, 3), (thrice.State, thrice.Attempts));
    }

    [Fact]
    public async Task A_fault_of_the_platform_is_followed_by_another_attempt()
    {
        rig.Node.FailNextStart(new BerthException(ErrorCode.NodeFault, "no sandbox today"));
        rig.Node.FailNextMachine("the machine broke");

        Run run = await rig.RunAsync(["echo", "ok"]);

        Assert.Equal((RunState.Succeeded, 3), (run.State, run.Attempts));
        RunWhy why = await rig.Manager.WhyAsync(run.Id, None);
        Assert.Equal(2, why.Events.Count(e => e.Type == RunEventTypes.Retried));
        Assert.Contains(why.Events, e => e.Detail.Contains("no sandbox today", StringComparison.Ordinal));
        Assert.Equal(Enumerable.Range(1, why.Events.Count).Select(i => (long)i), why.Events.Select(e => e.Sequence));
        Assert.Equal(2, rig.Manager.Statistics().Retried);
    }

    [Fact]
    public async Task A_run_that_the_platform_keeps_failing_ends_with_the_reason()
    {
        for (int i = 0; i < 2; i++)
        {
            rig.Node.FailNextStart(new BerthException(ErrorCode.NodeFault, "out of order"));
        }

        Run run = await rig.RunAsync(["true"], with: spec => spec with { Retry = new RetryPolicy(2, false) });

        Assert.Equal((RunState.Failed, EndReason.PlatformFault, "out of order"),
            (run.State, run.End!.Reason, run.End.Detail));
    }

    [Fact]
    public async Task Output_over_its_limit_ends_the_program_and_keeps_what_was_allowed()
    {
        Run run = await rig.RunAsync(["yes"], with: spec => spec with { OutputLimit = ByteSize.KiB(100) });

        Assert.Equal((RunState.Failed, EndReason.OutputLimit), (run.State, run.End!.Reason));
        Assert.Equal(ByteSize.KiB(100).Bytes, run.Result.Length);
        Assert.Contains("--output-limit", run.End.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_deadline_ends_the_program()
    {
        Run run = await rig.RunAsync(
            ["sleep", "60"], with: spec => spec with { Timeout = TimeSpan.FromMilliseconds(50) });

        Assert.Equal((RunState.Failed, EndReason.TimedOut), (run.State, run.End!.Reason));
    }

    [Fact]
    public async Task A_waiting_run_is_cancelled_at_once_and_a_running_one_soon()
    {
        RunId[] running = await FillPlacesAsync();
        RunId waiting = (await rig.SubmitAsync(["true"])).Run.Id;

        Run first = await rig.Manager.CancelAsync(waiting, None);
        Run second = await rig.Manager.CancelAsync(running[0], None);
        Run ended = await rig.EndAsync(running[0]);
        Run again = await rig.Manager.CancelAsync(running[0], None);

        Assert.Equal((RunState.Canceled, 0), (first.State, first.Attempts));
        Assert.True(second.CancelRequested);
        Assert.Equal((RunState.Canceled, EndReason.Canceled), (ended.State, ended.End!.Reason));
        Assert.Equal(ended.EndedAt, again.EndedAt);
        Assert.Equal(0, rig.Manager.Statistics().Queued);
    }

    [Fact]
    public async Task A_run_whose_sandbox_is_being_readied_can_be_cancelled()
    {
        Action release = rig.Node.HoldStarts();
        RunId id = (await rig.SubmitAsync(["true"])).Run.Id;
        await Until(async () => (await rig.Manager.GetAsync(id, None)).State == RunState.Starting,
            "the run is Starting");

        await rig.Manager.CancelAsync(id, None);
        Run run = await rig.EndAsync(id);
        release();

        Assert.Equal(RunState.Canceled, run.State);
    }

    [Fact]
    public async Task No_more_run_at_once_than_there_are_places_and_the_rest_in_order()
    {
        RunId[] running = await FillPlacesAsync();
        List<RunId> waiting = [];
        for (int i = 0; i < 8; i++)
        {
            waiting.Add((await rig.SubmitAsync(["true"])).Run.Id);
        }

        RunStatistics full = rig.Manager.Statistics();
        await rig.Manager.CancelAsync(running[0], None);
        foreach (RunId id in waiting)
        {
            await rig.EndAsync(id);
        }

        Assert.Equal((4, 4, 8L), (full.Running, full.Places, full.Queued));
        Assert.Equal(waiting, rig.Node.Started.Skip(4).Select(spec => spec.Run));
    }

    [Fact]
    public async Task A_full_queue_refuses_with_a_time_to_come_back()
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = rig.Options with { MaxRunning = 1, QueueLimit = 2 };
        await rig.BeginAsync();
        RunId running = (await rig.SubmitAsync(["sleep", "60"])).Run.Id;
        await rig.RunningAsync(running);
        await rig.SubmitAsync(["true"]);
        await rig.SubmitAsync(["true"]);

        BerthException error = await Assert.ThrowsAsync<BerthException>(() => rig.SubmitAsync(["true"]));

        Assert.Equal(ErrorCode.QueueFull, error.Code);
        Assert.NotNull(error.RetryAfter);
    }

    [Fact]
    public async Task A_refused_or_repeated_submission_leaves_no_file()
    {
        string large = new('x', 100_000);
        RunAcceptance first = await rig.SubmitAsync(["cat"], large, key: "key");
        RunAcceptance again = await rig.SubmitAsync(["cat"], large, key: "key");
        BerthException other = await Assert.ThrowsAsync<BerthException>(
            () => rig.SubmitAsync(["cat"], large + "y", key: "key"));

        Assert.Equal((false, first.Run.Id), (again.IsNew, again.Run.Id));
        Assert.Equal(ErrorCode.IdempotencyConflict, other.Code);
        Assert.Equal([first.Run.Id], rig.Spool.List());
    }

    [Fact]
    public async Task A_request_sent_again_is_the_same_in_another_trace_and_after_its_tag_has_moved()
    {
        RunAcceptance first = await rig.SubmitAsync(["cat"], "body", key: "key", with: spec => Traced(spec, "1"));
        RunAcceptance again = await rig.SubmitAsync(
            ["cat"], "body", key: "key", with: spec => Traced(spec, "2") with { Digest = Digest.Sha256("new"u8) });
        BerthException other = await Assert.ThrowsAsync<BerthException>(() => rig.SubmitAsync(
            ["cat"], "body", key: "key", with: spec => spec with
            {
                Environment = new Dictionary<string, string> { ["HTTP_X_WIDTH"] = "2" },
            }));

        Assert.Equal((false, first.Run.Id), (again.IsNew, again.Run.Id));
        Assert.Equal(ErrorCode.IdempotencyConflict, other.Code);

        static RunSpec Traced(RunSpec spec, string trace) => spec with
        {
            Environment = new Dictionary<string, string> { ["TRACEPARENT"] = trace },
        };
    }

    [Fact]
    public async Task An_input_over_the_limit_is_refused()
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = rig.Options with { InputLimit = ByteSize.KiB(64) };
        await rig.BeginAsync();

        RunAcceptance fits = await rig.SubmitAsync(["true"], new string('x', 64 * 1024));
        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => rig.SubmitAsync(["true"], new string('x', (64 * 1024) + 1)));

        Assert.Equal(ErrorCode.BodyTooLarge, error.Code);
        Assert.Equal([fits.Run.Id], rig.Spool.List());
    }

    [Fact]
    public async Task Progress_is_seen_while_the_program_runs_and_afterwards()
    {
        RunId id = (await rig.SubmitAsync(["sh", "-c", "progress 40 reading; progress 80 writing"])).Run.Id;

        Run run = await rig.EndAsync(id);

        Assert.Equal(new RunProgress(80, "writing"), run.Progress);
        RunWhy why = await rig.Manager.WhyAsync(id, None);
        Assert.Contains(why.Events, e => e is { Type: RunEventTypes.Progress, Detail: "40 %: reading" });
    }

    [Fact]
    public async Task Logs_are_followed_to_the_end_of_the_run()
    {
        RunId id = (await rig.SubmitAsync(["sh", "-c", "echo one >&2; sleep 0.05; echo two >&2"])).Run.Id;

        List<string> lines = [];
        await foreach (LogLine line in rig.Manager.LogsAsync(id, new LogQuery(Follow: true, null, null), None))
        {
            lines.Add(Encoding.UTF8.GetString(line.Text.Span));
        }

        Assert.Equal(["one", "two"], lines);
    }

    [Fact]
    public async Task Events_can_be_taken_up_where_a_reader_left_off()
    {
        Run run = await rig.RunAsync(["true"]);

        List<RunEventView> all = await ReadAsync(0);
        List<RunEventView> rest = await ReadAsync(2);

        Assert.Equal(["accepted", "claimed", "started", "ended"], all.Select(e => e.Type));
        Assert.Equal(all.Skip(2), rest);

        async Task<List<RunEventView>> ReadAsync(long after)
        {
            List<RunEventView> events = [];
            await foreach (RunEventView entry in rig.Manager.EventsAsync(run.Id, after, None))
            {
                events.Add(entry);
            }

            return events;
        }
    }

    [Fact]
    public async Task Waiting_ends_with_the_run_or_with_the_time()
    {
        RunId id = (await rig.SubmitAsync(["sleep", "60"])).Run.Id;

        Run early = await rig.Manager.WaitAsync(id, TimeSpan.FromMilliseconds(20), None);

        Assert.False(early.State.IsTerminal());
    }

    [Fact]
    public async Task A_forbidden_callback_is_refused_at_once()
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(() => rig.SubmitAsync(
            ["true"], with: spec => spec with { Callback = new Uri("http://169.254.169.254/latest/") }));

        Assert.Equal(ErrorCode.CallbackForbidden, error.Code);
        Assert.Empty((await rig.Manager.ListAsync(Everything, None)).Runs);
    }

    [Fact]
    public async Task A_graceful_stop_waits_for_what_is_about_to_end()
    {
        RunId id = (await rig.SubmitAsync(["sleep", "0.1"])).Run.Id;
        await rig.RunningAsync(id);

        await rig.StopAsync(TimeSpan.FromSeconds(30));
        await rig.BeginAsync();

        Assert.Equal(RunState.Succeeded, (await rig.Manager.GetAsync(id, None)).State);
    }

    [Fact]
    public async Task A_graceful_stop_hands_back_what_takes_too_long()
    {
        RunId id = (await rig.SubmitAsync(["sleep", "60"])).Run.Id;
        await rig.RunningAsync(id);

        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = rig.Options with { MaxRunning = 0 };
        await rig.BeginAsync();
        Run run = await rig.Manager.GetAsync(id, None);

        Assert.Equal((RunState.Queued, 0), (run.State, run.Attempts));
        Assert.Equal(1, rig.Manager.Statistics().Queued);
        Assert.Contains((await rig.Manager.WhyAsync(id, None)).Events, e => e.Type == RunEventTypes.HandedBack);
    }

    [Fact]
    public async Task A_stopping_server_refuses_new_work()
    {
        await rig.Manager.StopAsync(TimeSpan.Zero, None);

        BerthException submit = await Assert.ThrowsAsync<BerthException>(() => rig.SubmitAsync(["true"]));
        BerthException call = await Assert.ThrowsAsync<BerthException>(
            () => rig.Manager.CallAsync(RunBuilder.Spec(), "admin", null, None));

        Assert.Equal((ErrorCode.ShuttingDown, ErrorCode.ShuttingDown), (submit.Code, call.Code));
    }

    [Fact]
    public async Task The_largest_page_tells_that_there_is_more()
    {
        Run[] runs = await Task.WhenAll(Enumerable.Range(0, RunQuery.MaxLimit + 1).Select(async _ =>
        {
            Run ended = RunBuilder.Accepted() with { State = RunState.Canceled };
            await rig.Store.RecordAsync(ended, None);
            return ended;
        }));

        RunList page = await rig.Manager.ListAsync(Everything with { Limit = RunQuery.MaxLimit }, None);
        RunList rest = await rig.Manager.ListAsync(
            Everything with { Limit = RunQuery.MaxLimit, Before = page.Next }, None);

        Assert.Equal(runs.Select(run => run.Id).OrderDescending(), page.Runs.Concat(rest.Runs).Select(run => run.Id));
        Assert.Null(rest.Next);
    }

    [Fact]
    public async Task An_unknown_run_is_said_to_be_unknown()
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => rig.Manager.GetAsync(RunId.New(RunBuilder.Noon), None));

        Assert.Equal(ErrorCode.RunNotFound, error.Code);
    }

    internal static RunQuery Everything { get; } = new(null, null, null, new Dictionary<string, string>(), 100, null);

    internal static async Task Until(Func<Task<bool>> condition, string expected)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (!await condition())
        {
            Assert.False(limit.IsCancellationRequested, $"It was expected that {expected}.");
            await Task.Delay(1, limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<RunId[]> FillPlacesAsync()
    {
        RunId[] ids = [.. (
            await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => rig.SubmitAsync(["sleep", "60"])))).Select(a =>
                a.Run.Id)];
        foreach (RunId id in ids)
        {
            await rig.RunningAsync(id);
        }

        return ids;
    }
}
