using System.Runtime.CompilerServices;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Cluster;
using Berth.Server.Events;
using Berth.Server.Logs;
using Berth.Server.Spool;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>Everything that only looks at runs: what the store holds, together with what is newer in memory.</summary>
internal sealed class RunReading(RunRooms rooms, TaskDispatcher dispatcher, CallRegister calls)
{
    private const int EventPage = 500;

    /// <summary>Between looks for whether a run whose log is followed is still this server's.</summary>
    private static readonly TimeSpan HolderInterval = TimeSpan.FromSeconds(1);

    public static RunEventView Resync(RunId id, long last, DateTimeOffset now) => RunEventHub.View(
        id, last,
        new RunEvent(now, RunEventTypes.Resync, 0,
            "The reader was too slow: ask again for the events after this number."));

    public async Task<Run> GetAsync(RunId id, CancellationToken cancellationToken) =>
        await FindAsync(id, cancellationToken)
        ?? throw new BerthException(ErrorCode.RunNotFound, $"There is no run {id}, or its record is no longer kept.");

    public async Task<RunList> ListAsync(RunQuery query, CancellationToken cancellationToken)
    {
        int limit = Math.Clamp(query.Limit, 1, RunQuery.MaxLimit);
        // Before the store is read: a call that is recorded in between is then seen twice rather than not at all.
        List<Run> unrecorded = [.. calls.Unrecorded.Where(run => Matches(query, run))];
        IReadOnlyList<Run> stored = await rooms.Store.ListAsync(query with { Limit = limit + 1 }, cancellationToken);
        List<Run> page =
        [
            .. stored.Select(Newest).Concat(unrecorded)
                .DistinctBy(run => run.Id).OrderByDescending(run => run.Id).Take(limit + 1),
        ];
        bool more = page.Count > limit;
        return new RunList(more ? page[..limit] : page, more ? page[limit - 1].Id : null);
    }

    /// <summary>Those that have a label and that the store does not have yet: calls and instances under way.</summary>
    public IReadOnlyList<Run> Live(string label, string value) =>
        [.. calls.Unrecorded.Where(r => r.Spec.Labels.TryGetValue(label, out string? of) && of == value)];

    public async Task<Run> WaitAsync(RunId id, TimeSpan limit, CancellationToken cancellationToken)
    {
        using RunEventHub.Subscription subscription = rooms.Events.Subscribe(id);
        Run run = await GetAsync(id, cancellationToken);
        using CancellationTokenSource late = new(limit, rooms.Time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            late.Token, cancellationToken);
        try
        {
            while (!run.State.IsTerminal() && await subscription.NextAsync(either.Token))
            {
                bool ended = false;
                while (subscription.TryTake(out RunEventView? view))
                {
                    ended |= view!.Type == RunEventTypes.Ended;
                }

                if (ended)
                {
                    run = await GetAsync(id, cancellationToken);
                }
            }
        }
        catch (OperationCanceledException)
            when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return await GetAsync(id, cancellationToken);
        }

        return run.State.IsTerminal() ? run : await GetAsync(id, cancellationToken);
    }

    public async IAsyncEnumerable<RunEventView> EventsAsync(
        RunId id, long after, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Subscribed before reading, so that nothing falls between the past and the present.
        using RunEventHub.Subscription subscription = rooms.Events.Subscribe(id);
        Run run = await GetAsync(id, cancellationToken);
        long last = after;
        bool ended = run.State.IsTerminal();
        await foreach (NumberedEvent entry in PastAsync(run, after, cancellationToken))
        {
            yield return RunEventHub.View(id, entry.Sequence, entry.Event);
            last = entry.Sequence;
            ended |= entry.Event.Type == RunEventTypes.Ended;
        }

        if (ended)
        {
            yield break;
        }

        await foreach (RunEventView view in subscription.ReadAsync(cancellationToken))
        {
            if (view.Sequence <= last)
            {
                continue;
            }

            yield return view;
            last = view.Sequence;
            if (view.Type == RunEventTypes.Ended)
            {
                yield break;
            }
        }

        if (subscription.WasCut)
        {
            yield return Resync(id, last, rooms.Time.GetUtcNow());
        }
    }

    public async Task<RunWhy> WhyAsync(RunId id, CancellationToken cancellationToken)
    {
        Run run = await GetAsync(id, cancellationToken);
        List<RunEventView> events = [];
        // Of a task it is in the event itself; calls store nothing while they run.
        string? placement = run.Kind is RunKind.Call or RunKind.Instance ? rooms.Fleet?.Explain(run) : null;
        await foreach (NumberedEvent entry in PastAsync(run, 0, cancellationToken))
        {
            RunEvent told = entry.Event;
            events.Add(RunEventHub.View(
                id, entry.Sequence,
                placement is not null && told.Type == RunEventTypes.Started
                    ? told with { Detail = $"{told.Detail} {placement}" }
                    : told));
        }

        return new RunWhy(RunPresentation.View(run), events);
    }

    public async Task<RunContent> ResultAsync(RunId id, CancellationToken cancellationToken)
    {
        Run run = await GetAsync(id, cancellationToken);
        if (run.Kind != RunKind.Task)
        {
            throw new BerthException(
                ErrorCode.NotFound,
                run.Kind switch
                {
                    RunKind.Call => $"Run {id} was a synchronous call: its result went to its caller and is not kept.",
                    RunKind.Instance => $"Run {id} is an instance of a function: its answers went to its callers.",
                    _ => $"Run {id} is a container's: what it writes is in the container's log.",
                });
        }

        if (!run.State.IsTerminal())
        {
            throw new BerthException(
                ErrorCode.Conflict, $"Run {id} is {RunPresentation.StateWord(run.State)}: wait until it has ended.");
        }

        return run.Result.Place switch
        {
            BodyPlace.Expired => throw Expired(run, "result"),
            BodyPlace.Spooled => await OpenAsync(
                run, "result", () => rooms.Spool.OpenResult(id, run.Generation),
                peers => peers.OpenResultAsync(run, cancellationToken)),
            BodyPlace.Inline => FromMemory(run, "result", await rooms.Store.ReadResultAsync(id, cancellationToken)),
            _ => FromMemory(run, "result", []),
        };
    }

    public async Task<RunContent> InputAsync(RunId id, CancellationToken cancellationToken)
    {
        Run run = await GetAsync(id, cancellationToken);
        if (run.Kind != RunKind.Task)
        {
            throw new BerthException(
                ErrorCode.NotFound, $"Run {id} is a {RunPresentation.KindWord(run.Kind)}: its input is not kept.");
        }

        return run.Input.Place switch
        {
            BodyPlace.Expired => throw Expired(run, "input"),
            BodyPlace.Spooled => await OpenAsync(
                run, "input", () => rooms.Spool.OpenInput(id), peers => peers.OpenInputAsync(run, cancellationToken)),
            BodyPlace.Inline => FromMemory(run, "input", await rooms.Store.ReadInputAsync(id, cancellationToken)),
            _ => FromMemory(run, "input", []),
        };
    }

    public async IAsyncEnumerable<LogLine> LogsAsync(
        RunId id, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await GetAsync(id, cancellationToken);
        // What has no record yet is under way here.
        IAsyncEnumerable<LogLine> lines = rooms.Peers is { } peers && calls.Find(id) is null
            ? new FollowedLog(peers, LocalLogsAsync, HasEndedAsync, rooms.Time).ReadAsync(id, query, cancellationToken)
            : LocalLogsAsync(id, query, cancellationToken);
        await foreach (LogLine line in lines)
        {
            yield return line;
        }
    }

    /// <summary>What this server has of a run's log; followed, until the run has ended or another server has it.
    /// </summary>
    public async IAsyncEnumerable<LogLine> LocalLogsAsync(
        RunId id, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task watching = query.Follow && rooms.Peers is { } peers
            ? WatchHolderAsync(peers, id, over.Token)
            : Task.CompletedTask;
        try
        {
            await foreach (LogLine line in rooms.Logs.ReadAsync(
                id, query, async token => !await HasEndedAsync(id, token), cancellationToken))
            {
                yield return line;
            }
        }
        finally
        {
            await over.CancelAsync();
            await watching;
        }
    }

    /// <summary>The end of a run that another server has is told to nobody here.</summary>
    private async Task WatchHolderAsync(Peers peers, RunId id, CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            await Task.Delay(HolderInterval, rooms.Time, over).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            try
            {
                if (!over.IsCancellationRequested
                    && (await peers.HolderAsync(id, over) is not null || await HasEndedAsync(id, over)))
                {
                    rooms.Logs.Complete(id);
                    return;
                }
            }
            catch (Exception error) when (error is BerthException or OperationCanceledException)
            {
                // The store is away: the next look finds out. Or nobody reads any more.
                continue;
            }
        }
    }

    private async Task<bool> HasEndedAsync(RunId id, CancellationToken cancellationToken) =>
        (await GetAsync(id, cancellationToken)).State.IsTerminal();

    private async Task<Run?> FindAsync(RunId id, CancellationToken cancellationToken)
    {
        if (calls.Find(id) is { } call)
        {
            return call.Run with { Progress = call.Progress };
        }

        Run? stored = await rooms.Store.FindAsync(id, cancellationToken);
        // A call may have been recorded between the two looks.
        return stored is null ? calls.Find(id)?.Run : Newest(stored);
    }

    private Run Newest(Run run) => run.State == RunState.Running && dispatcher.Find(run.Id)?.Progress is { } progress
        ? run with { Progress = progress }
        : run;

    private async IAsyncEnumerable<NumberedEvent> PastAsync(
        Run run, long after, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (run.Kind is RunKind.Call or RunKind.Instance)
        {
            foreach (NumberedEvent entry in RunPresentation.CallEvents(run).Where(entry => entry.Sequence > after))
            {
                yield return entry;
            }

            yield break;
        }

        if (after < 1)
        {
            yield return RunPresentation.AcceptedEvent(run);
        }

        long last = Math.Max(after, 1);
        while (true)
        {
            IReadOnlyList<NumberedEvent> page = await rooms.Store.EventsAsync(
                run.Id, last, EventPage, cancellationToken);
            foreach (NumberedEvent entry in page)
            {
                yield return entry;
                last = entry.Sequence;
            }

            if (page.Count < EventPage)
            {
                yield break;
            }
        }
    }

    private static bool Matches(RunQuery query, Run run) =>
        (query.Kind is null || query.Kind == run.Kind)
        && (query.State is null || query.State == run.State)
        && (query.Image is null || query.Image == run.Spec.Image || query.Image == run.Spec.Digest.Text)
        && (query.Before is not { } before || run.Id.CompareTo(before) < 0)
        && query.Labels.All(label => run.Spec.Labels.TryGetValue(label.Key, out string? value) && value == label.Value);

    private async Task<RunContent> OpenAsync(
        Run run, string what, Func<FileStream> open, Func<Peers, Task<Stream?>> elsewhere)
    {
        Stream? stream = OpenHere(open);
        if (stream is null && rooms.Peers is { } peers)
        {
            stream = await elsewhere(peers);
        }

        return new RunContent(
            run, stream ?? throw Expired(run, what), stream.Length, ContentType(run, what));
    }

    private static FileStream? OpenHere(Func<FileStream> open)
    {
        try
        {
            return open();
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private static RunContent FromMemory(Run run, string what, byte[]? bytes) => bytes is null
        ? throw Expired(run, what)
        : new RunContent(run, new MemoryStream(bytes, writable: false), bytes.Length, ContentType(run, what));

    private static string ContentType(Run run, string what) =>
        what == "result" ? run.End?.Answer?.ContentType ?? run.Spec.ResultContentType : "application/octet-stream";

    private static BerthException Expired(Run run, string what) => new(
        ErrorCode.ResultExpired,
        $"The {what} of run {run.Id} is no longer kept"
            + (run.ResultExpiresAt is { } at ? $" since {at:yyyy-MM-dd HH:mm:ss}Z." : "."));
}
