using System.Text;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Testing.Runs;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Testing.Store;

/// <summary>What every <see cref="IRunStore"/> promises. A store's tests derive from it.</summary>
public abstract class RunStoreContract : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    protected IRunStore Store { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Store = await OpenAsync();

    public virtual async ValueTask DisposeAsync()
    {
        await Store.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Opens the store of this test; a second call opens the same one again.</summary>
    protected abstract Task<IRunStore> OpenAsync();

    protected async Task ReopenAsync()
    {
        await Store.DisposeAsync();
        Store = await OpenAsync();
    }

    protected static NewRun New(Run run, string? key = null, string request = "") =>
        new(run, default, key, Encoding.UTF8.GetBytes(request));

    protected async Task<Run> AcceptAsync(DateTimeOffset? at = null, RunSpec? spec = null) =>
        (await Store.AcceptAsync(New(Accepted(at, spec)), None)).Run;

    protected async Task<Run> ClaimOneAsync(DateTimeOffset? at = null) =>
        Assert.Single(await Store.ClaimAsync(new ClaimOrder(1, at ?? Noon.AddSeconds(1)), None)).Run;

    protected async Task<Run> StartOneAsync()
    {
        Run claimed = await ClaimOneAsync();
        return (await Store.SaveAsync(Running(claimed, Noon), None)).Current!;
    }

    [Fact]
    public async Task An_accepted_run_is_found_as_it_was_after_reopening()
    {
        Run run = Accepted(spec: FullSpec(), input: new StoredBody(BodyPlace.Spooled, 99_999));
        await Store.AcceptAsync(New(run), None);

        await ReopenAsync();
        Run? found = await Store.FindAsync(run.Id, None);

        Assert.NotNull(found);
        Assert.Equivalent(run, found, strict: true);
        Assert.Null(await Store.FindAsync(RunId.New(Noon), None));
    }

    [Fact]
    public async Task A_small_input_is_kept_with_the_run()
    {
        byte[] input = [0, 1, 2, 0xFF];
        Run run = Accepted(input: new StoredBody(BodyPlace.Inline, input.Length));

        await Store.AcceptAsync(new NewRun(run, input, null, default), None);

        Assert.Equal(input, await Store.ReadInputAsync(run.Id, None));
        Assert.Equal(input, Assert.Single(await Store.ClaimAsync(new ClaimOrder(1, Noon), None)).InlineInput);
    }

    [Fact]
    public async Task The_same_key_and_request_lead_to_the_first_run()
    {
        Run first = Accepted();
        await Store.AcceptAsync(New(first, "key", "request"), None);

        RunAcceptance again = await Store.AcceptAsync(New(Accepted(), "key", "request"), None);

        Assert.False(again.IsNew);
        Assert.Equal(first.Id, again.Run.Id);
        Assert.Single(await Store.ListAsync(Everything(), None));
    }

    [Fact]
    public async Task The_same_key_with_another_request_is_refused_and_leaves_nothing()
    {
        await Store.AcceptAsync(New(Accepted(), "key", "request"), None);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => Store.AcceptAsync(New(Accepted(), "key", "another"), None));

        Assert.Equal(ErrorCode.IdempotencyConflict, error.Code);
        Assert.Single(await Store.ListAsync(Everything(), None));
    }

    [Fact]
    public async Task Keys_of_different_callers_do_not_meet()
    {
        await Store.AcceptAsync(New(Accepted(caller: "one"), "key", "request"), None);

        RunAcceptance other = await Store.AcceptAsync(New(Accepted(caller: "two"), "key", "another"), None);

        Assert.True(other.IsNew);
    }

    [Fact]
    public async Task Many_at_once_with_one_key_make_one_run()
    {
        RunAcceptance[] all = await Task.WhenAll(
            Enumerable.Range(0, 50).Select(_ => Store.AcceptAsync(New(Accepted(), "key", "request"), None)));

        Assert.Single(all, acceptance => acceptance.IsNew);
        Assert.Single(all.Select(acceptance => acceptance.Run.Id).Distinct());
    }

    [Fact]
    public async Task Ready_runs_are_claimed_oldest_first_and_once()
    {
        List<RunId> ids = [];
        for (int i = 0; i < 5; i++)
        {
            ids.Add((await AcceptAsync(Noon.AddSeconds(-i))).Id);
        }

        IReadOnlyList<ClaimedRun> first = await Store.ClaimAsync(new ClaimOrder(3, Noon), None);
        IReadOnlyList<ClaimedRun> rest = await Store.ClaimAsync(new ClaimOrder(10, Noon), None);

        Assert.Equal(ids.AsEnumerable().Reverse(), first.Concat(rest).Select(claimed => claimed.Run.Id));
        Assert.All(first,
            claimed =>
                Assert.Equal((RunState.Starting, 1, 1),
                    (claimed.Run.State, claimed.Run.Generation, claimed.Run.Attempts)));
        Assert.Empty(await Store.ClaimAsync(new ClaimOrder(10, Noon), None));
    }

    [Fact]
    public async Task The_highest_priority_is_claimed_first()
    {
        Run low = await AcceptAsync(Noon.AddSeconds(-3), Spec() with { Priority = -5 });
        Run usual = await AcceptAsync(Noon.AddSeconds(-2));
        Run high = await AcceptAsync(Noon.AddSeconds(-1), Spec() with { Priority = 100 });
        await AcceptAsync(Noon.AddSeconds(1), Spec() with { Priority = 50 });
        int?[] highest = new int?[3];

        highest[0] = await Store.HighestWaitingAsync(Noon, None);
        IReadOnlyList<ClaimedRun> first = await Store.ClaimAsync(new ClaimOrder(1, Noon), None);
        highest[1] = await Store.HighestWaitingAsync(Noon, None);
        IReadOnlyList<ClaimedRun> rest = await Store.ClaimAsync(new ClaimOrder(9, Noon), None);
        highest[2] = await Store.HighestWaitingAsync(Noon, None);

        Assert.Equal([high.Id, usual.Id, low.Id], first.Concat(rest).Select(claimed => claimed.Run.Id));
        Assert.Equal([100, 0, null], highest);
        Assert.Equal(-5, rest[^1].Run.Spec.Priority);
    }

    [Fact]
    public async Task Callers_are_served_in_turn_who_has_least_under_way_first()
    {
        // Whoever came first has sent most.
        Dictionary<string, int> waiting = new() { ["many"] = 8, ["few"] = 3, ["one"] = 1, ["busy"] = 4 };
        int at = 0;
        foreach ((string caller, int count) in waiting)
        {
            for (int i = 0; i < count; i++)
            {
                await Store.AcceptAsync(New(Accepted(Noon.AddMilliseconds(at++), caller: caller)), None);
            }
        }

        ClaimOrder order = new(7, Noon.AddSeconds(1)) { UnderWay = new Dictionary<string, int> { ["busy"] = 2 } };
        IReadOnlyList<ClaimedRun> claimed = await Store.ClaimAsync(order, None);

        Assert.Equal(
            ["many", "few", "one", "many", "few", "many", "few"], claimed.Select(entry => entry.Run.Caller));
        Assert.All(
            claimed.GroupBy(entry => entry.Run.Caller),
            own => Assert.Equal(own.OrderBy(entry => entry.Run.ReadyAt), own));
        Assert.Equal(9, (await Store.ClaimAsync(new ClaimOrder(99, Noon.AddSeconds(1)), None)).Count);
    }

    [Fact]
    public async Task A_run_is_not_claimed_before_it_is_ready()
    {
        await AcceptAsync(Noon.AddSeconds(5));

        Assert.Empty(await Store.ClaimAsync(new ClaimOrder(1, Noon.AddSeconds(4)), None));
        Assert.Equal(Noon.AddSeconds(5), (await Store.NextDueAsync(None)).Run);
        Assert.Single(await Store.ClaimAsync(new ClaimOrder(1, Noon.AddSeconds(5)), None));
    }

    [Fact]
    public async Task Concurrent_claims_never_give_a_run_twice()
    {
        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => AcceptAsync()));

        IReadOnlyList<ClaimedRun>[] claims = await Task.WhenAll(
            Enumerable.Range(0, 20).Select(_ => Store.ClaimAsync(new ClaimOrder(7, Noon.AddSeconds(1)), None)));

        RunId[] ids = [.. claims.SelectMany(claim => claim).Select(claimed => claimed.Run.Id)];
        Assert.Equal(100, ids.Length);
        Assert.Equal(100, ids.Distinct().Count());
    }

    [Fact]
    public async Task A_run_goes_its_way_to_a_result()
    {
        await AcceptAsync();
        Run claimed = await ClaimOneAsync();
        await Store.SaveAsync(Running(claimed, Noon.AddSeconds(2)), None);
        RunChange ending = Ending(
            claimed with { StartedAt = Noon.AddSeconds(2) }, EndReason.Completed, Noon.AddSeconds(3));
        ending = ending with
        {
            Next = ending.Next with { Result = new StoredBody(BodyPlace.Inline, 3) },
            InlineResult = "out"u8.ToArray()
        };

        SaveOutcome outcome = await Store.SaveAsync(ending, None);

        Assert.True(outcome.Applied);
        Run? found = await Store.FindAsync(claimed.Id, None);
        Assert.Equivalent(outcome.Current, found, strict: true);
        Assert.Equal(RunState.Succeeded, found!.State);
        Assert.Equal("out"u8.ToArray(), await Store.ReadResultAsync(claimed.Id, None));
        Assert.Equal([2, 3], (await Store.EventsAsync(claimed.Id, 0, 100, None)).Select(e => e.Sequence));
        Assert.Equal([3], (await Store.EventsAsync(claimed.Id, 2, 100, None)).Select(e => e.Sequence));
    }

    [Fact]
    public async Task A_report_of_an_older_generation_is_refused()
    {
        await AcceptAsync();
        Run old = await ClaimOneAsync();
        await Store.SaveAsync(HandBack(old), None);
        Run current = await ClaimOneAsync();

        SaveOutcome late = await Store.SaveAsync(Ending(old, EndReason.Completed, Noon), None);

        Assert.False(late.Applied);
        Assert.Equal(RunState.Starting, late.Current!.State);
        Assert.True(current.Generation > old.Generation);
        Assert.Empty((await Store.EventsAsync(old.Id, 0, 100, None)).Where(e => e.Event.Type == RunEventTypes.Ended));
    }

    [Fact]
    public async Task An_ended_run_never_changes_again()
    {
        await AcceptAsync();
        Run claimed = await ClaimOneAsync();
        await Store.SaveAsync(Ending(claimed, EndReason.PlatformFault, Noon), None);

        foreach (RunState next in Enum.GetValues<RunState>())
        {
            SaveOutcome outcome = await Store.SaveAsync(
                new RunChange(claimed with { State = next }, claimed.Generation, []), None);
            Assert.False(outcome.Applied, $"Failed → {next} was applied");
        }

        Assert.Equal(RunState.Failed, (await Store.FindAsync(claimed.Id, None))!.State);
    }

    [Fact]
    public async Task Only_legal_steps_are_applied()
    {
        foreach (RunState next in Enum.GetValues<RunState>())
        {
            Run run = await AcceptAsync();
            SaveOutcome outcome = await Store.SaveAsync(
                new RunChange(run with { State = next }, run.Generation, []), None);

            Assert.Equal(RunTransitions.IsLegal(RunState.Queued, next) || next == RunState.Queued, outcome.Applied);
        }
    }

    [Fact]
    public async Task A_wish_to_cancel_is_kept_and_stops_the_way_back_to_the_queue()
    {
        await AcceptAsync();
        Run claimed = await ClaimOneAsync();

        Run? asked = await Store.RequestCancelAsync(
            claimed.Id, new RunEvent(Noon, RunEventTypes.CancelRequested, 1, "why"), None);
        await Store.RequestCancelAsync(claimed.Id, new RunEvent(Noon, RunEventTypes.CancelRequested, 1, "again"), None);
        await ReopenAsync();
        SaveOutcome back = await Store.SaveAsync(HandBack(claimed), None);
        SaveOutcome end = await Store.SaveAsync(Ending(claimed, EndReason.Canceled, Noon), None);

        Assert.True(asked!.CancelRequested);
        Assert.False(back.Applied);
        Assert.True(back.Current!.CancelRequested);
        Assert.True(end.Applied);
        Assert.Single(await Store.EventsAsync(claimed.Id, 0, 9, None),
            e => e.Event.Type == RunEventTypes.CancelRequested);
    }

    [Fact]
    public async Task A_wish_to_cancel_leaves_waiting_and_ended_runs_alone()
    {
        Run waiting = await AcceptAsync();

        Run? found = await Store.RequestCancelAsync(
            waiting.Id, new RunEvent(Noon, RunEventTypes.CancelRequested, 0, "why"), None);

        Assert.Equal((false, 1L), (found!.CancelRequested, found.LastEvent));
        Assert.Null(await Store.RequestCancelAsync(RunId.New(Noon), new RunEvent(Noon, "x", 0, ""), None));
    }

    [Fact]
    public async Task Lists_page_backwards_through_all_runs()
    {
        List<RunId> ids = [];
        for (int i = 0; i < 7; i++)
        {
            ids.Add((await AcceptAsync(Noon.AddSeconds(i))).Id);
        }

        List<RunId> seen = [];
        RunId? cursor = null;
        IReadOnlyList<Run> page;
        while ((page = await Store.ListAsync(Everything() with { Limit = 3, Before = cursor }, None)).Count > 0)
        {
            seen.AddRange(page.Select(run => run.Id));
            cursor = page[^1].Id;
        }

        Assert.Equal(ids.AsEnumerable().Reverse(), seen);
    }

    [Fact]
    public async Task Lists_are_filtered_by_each_field()
    {
        Run call = Accepted(
            ) with
        { Kind = RunKind.Call, State = RunState.Failed, EndedAt = Noon, End = End(EndReason.ExitCode) };
        await Store.RecordAsync(call, None);
        Run labelled = await AcceptAsync(spec: FullSpec());

        Assert.Equal(call.Id, await Only(Everything() with { Kind = RunKind.Call }));
        Assert.Equal(call.Id, await Only(Everything() with { State = RunState.Failed }));
        Assert.Equal(labelled.Id, await Only(Everything() with { Image = FullSpec().Image }));
        Assert.Equal(labelled.Id, await Only(Everything() with { Labels = FullSpec().Labels }));
        Assert.Equal(2, (await Store.ListAsync(Everything() with { Image = Image.Text }, None)).Count);
        Assert.Empty(
            await Store.ListAsync(Everything() with { Labels = new Dictionary<string, string> { ["team"] = "red" } },
                None));

        async Task<RunId> Only(RunQuery query) => Assert.Single(await Store.ListAsync(query, None)).Id;
    }

    [Fact]
    public async Task A_call_is_recorded_once()
    {
        Run call = Accepted(
            ) with
        { Kind = RunKind.Call, State = RunState.Succeeded, EndedAt = Noon, End = End(EndReason.Completed) };

        await Store.RecordAsync(call, None);
        await Store.RecordAsync(call with { State = RunState.Failed }, None);

        Assert.Equivalent(call, await Store.FindAsync(call.Id, None), strict: true);
    }

    [Fact]
    public async Task Unfinished_and_over_age_runs_are_listed_for_their_passes()
    {
        RunSpec aging = Spec() with { MaxAge = TimeSpan.FromSeconds(10) };
        Run old = await AcceptAsync(Noon.AddSeconds(20), aging);
        await AcceptAsync();
        Run claimed = await ClaimOneAsync();

        Assert.Equal([claimed.Id], (await Store.UnfinishedAsync(null, 10, None)).Select(run => run.Id));
        Assert.Empty(await Store.UnfinishedAsync(claimed.Id, 10, None));
        Assert.Empty(await Store.OverAgeAsync(Noon.AddSeconds(29), 10, None));
        Assert.Equal([old.Id], (await Store.OverAgeAsync(Noon.AddSeconds(30), 10, None)).Select(run => run.Id));
    }

    [Fact]
    public async Task Expired_bodies_are_listed_and_forgotten()
    {
        byte[] input = [1];
        Run run = Accepted(input: new StoredBody(BodyPlace.Inline, 1));
        await Store.AcceptAsync(new NewRun(run, input, null, default), None);
        await Store.SaveAsync(Ending(await StartOneAsync(), EndReason.Completed, Noon), None);

        Assert.Empty(await Store.ExpiredBodiesAsync(Noon.AddHours(23), 10, None));
        Assert.Equal([run.Id], (await Store.ExpiredBodiesAsync(Noon.AddHours(24), 10, None)).Select(r => r.Id));
        await Store.ForgetBodiesAsync([run.Id], None);

        Run? found = await Store.FindAsync(run.Id, None);
        Assert.Equal((BodyPlace.Expired, BodyPlace.None), (found!.Input.Place, found.Result.Place));
        Assert.Null(await Store.ReadInputAsync(run.Id, None));
        Assert.Empty(await Store.ExpiredBodiesAsync(Noon.AddHours(24), 10, None));
    }

    [Fact]
    public async Task Old_records_are_deleted_with_all_that_belongs_to_them()
    {
        Run run = Accepted(spec: FullSpec());
        await Store.AcceptAsync(New(run, "key", "request"), None);
        Run waiting = await AcceptAsync(Noon.AddSeconds(5));
        await Store.SaveAsync(Ending(await StartOneAsync(), EndReason.Completed, Noon), None);

        Assert.Empty(await Store.DeleteEndedAsync(Noon, 10, None));
        Assert.Equal([run.Id], await Store.DeleteEndedAsync(Noon.AddSeconds(1), 10, None));

        Assert.Equal([waiting.Id], (await Store.ListAsync(Everything(), None)).Select(r => r.Id));
        Assert.Equal([waiting.Id], await Store.KnownAsync([run.Id, waiting.Id], None));
        Assert.True((await Store.AcceptAsync(New(Accepted(), "key", "another"), None)).IsNew);
    }

    [Fact]
    public async Task A_callback_is_owed_from_the_end_until_it_is_closed_once()
    {
        await AcceptAsync();
        Run claimed = await StartOneAsync();
        CallbackDraft draft = new(new Uri("https://Example.org/x"), "body"u8.ToArray(), Noon);
        await Store.SaveAsync(Ending(claimed, EndReason.Completed, Noon) with { Callback = draft }, None);

        PendingCallback due = Assert.Single(await Store.DueCallbacksAsync(Noon, [], 10, None));
        await Store.DeferCallbackAsync(due, Noon.AddSeconds(10), None);
        Assert.Empty(await Store.DueCallbacksAsync(Noon.AddSeconds(9), [], 10, None));
        PendingCallback again = Assert.Single(await Store.DueCallbacksAsync(Noon.AddSeconds(10), [], 10, None));
        Assert.Empty(await Store.DueCallbacksAsync(Noon.AddSeconds(10), ["other.org", "example.org"], 10, None));
        Assert.Empty(await Store.DeleteEndedAsync(Noon.AddDays(99), 10, None));
        RunEvent outcome = new(Noon.AddSeconds(11), RunEventTypes.CallbackDelivered, 1, "delivered");

        Assert.Equal((1, draft.Target, Noon), (again.Attempt, again.Target, again.FirstDue));
        Assert.Equal(draft.Body.ToArray(), again.Body.ToArray());
        Assert.Equal(4, await Store.CloseCallbackAsync(again, outcome, None));
        Assert.Equal(0, await Store.CloseCallbackAsync(again, outcome, None));
        Assert.Equal(outcome, (await Store.EventsAsync(claimed.Id, 3, 10, None)).Single().Event);
        Assert.Null((await Store.NextDueAsync(None)).Callback);
    }

    [Fact]
    public async Task What_lies_further_ahead_than_a_delay_can_is_brought_near()
    {
        TimeSpan retry = TimeSpan.FromSeconds(30);
        Run tried = await AcceptAsync(Noon.AddSeconds(-1));
        Run claimed = await ClaimOneAsync(Noon);
        await Store.SaveAsync(HandBack(claimed with { ReadyAt = Noon.AddHours(2) }), None);
        await AcceptAsync(Noon.AddSeconds(-1));
        Run ended = await ClaimOneAsync(Noon);
        await Store.SaveAsync(Running(ended, Noon), None);
        CallbackDraft draft = new(new Uri("https://example.org/x"), "body"u8.ToArray(), Noon.AddHours(2));
        await Store.SaveAsync(Ending(ended, EndReason.Completed, Noon) with { Callback = draft }, None);
        Run never = await AcceptAsync(Noon.AddHours(2));
        Run near = await AcceptAsync(Noon.AddSeconds(-2));

        await Store.BoundDelaysAsync(Noon, retry, TimeSpan.FromHours(1), None);

        Assert.Equal(
            [(never.Id, Noon), (near.Id, near.ReadyAt), (tried.Id, Noon + retry)],
            await Task.WhenAll(new[] { never, near, tried }.Select(
                async run => (run.Id, (await Store.FindAsync(run.Id, None))!.ReadyAt))));
        PendingCallback callback = Assert.Single(await Store.DueCallbacksAsync(Noon.AddHours(1), [], 10, None));
        Assert.Equal((Noon, Noon.AddHours(1)), (callback.FirstDue, callback.Due));
    }

    [Fact]
    public async Task A_list_is_as_long_as_was_asked_for()
    {
        await Task.WhenAll(Enumerable.Range(0, RunQuery.MaxLimit + 2).Select(_ => AcceptAsync()));

        IReadOnlyList<Run> runs = await Store.ListAsync(Everything() with { Limit = RunQuery.MaxLimit + 1 }, None);

        Assert.Equal(RunQuery.MaxLimit + 1, runs.Count);
    }

    [Fact]
    public async Task Counts_say_what_waits_and_what_runs()
    {
        await AcceptAsync();
        await AcceptAsync(Noon.AddSeconds(1));
        await AcceptAsync(Noon.AddSeconds(2));
        Run claimed = await ClaimOneAsync(Noon);
        await Store.SaveAsync(Running(claimed, Noon), None);

        RunCounts counts = await Store.CountAsync(None);

        Assert.Equal(new RunCounts(2, 0, 1, 0, Noon.AddSeconds(1)), counts);
    }

    protected static RunQuery Everything() => new(null, null, null, new Dictionary<string, string>(), 100, null);

    private static RunChange HandBack(Run run) =>
        new(run with { State = RunState.Queued, Generation = run.Generation + 1 }, run.Generation, []);
}
