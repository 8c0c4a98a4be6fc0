using System.Runtime.CompilerServices;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Events;
using Berth.Server.Logs;
using Berth.Server.Spool;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>Everything that only looks at runs: what the store holds, together with what is newer in memory.</summary>
internal sealed class RunReading(RunRooms rooms, TaskDispatcher dispatcher, CallRegister calls)
{
    private const int EventPage = 500;

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
        string? placement = run.Kind == RunKind.Call ? rooms.Fleet?.Explain(run) : null;
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
            BodyPlace.Spooled => Open(run, "result", () => rooms.Spool.OpenResult(id, run.Generation)),
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
            BodyPlace.Spooled => Open(run, "input", () => rooms.Spool.OpenInput(id)),
            BodyPlace.Inline => FromMemory(run, "input", await rooms.Store.ReadInputAsync(id, cancellationToken)),
            _ => FromMemory(run, "input", []),
        };
    }

    public async IAsyncEnumerable<LogLine> LogsAsync(
        RunId id, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await GetAsync(id, cancellationToken);
        await foreach (LogLine line in rooms.Logs.ReadAsync(
            id, query, async token => !(await GetAsync(id, token)).State.IsTerminal(), cancellationToken))
        {
            yield return line;
        }
    }

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

    private RunContent Open(Run run, string what, Func<FileStream> open)
    {
        try
        {
            FileStream stream = open();
            return new RunContent(run, stream, stream.Length, ContentType(run, what));
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw rooms.Store is IClusterStore ? Elsewhere(run, what) : Expired(run, what);
        }
    }

    /// <summary>The record says that it is kept, and several servers share the records.</summary>
    private static BerthException Elsewhere(Run run, string what) => new(
        ErrorCode.Conflict,
        $"The {what} of run {run.Id} is larger than what servers share ({RunSpool.InlineLimit / 1024} KiB), and not on "
        + $"this one's disk: ask the server that had the task on node '{run.Node}'.");

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
