using System.Runtime.CompilerServices;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Callbacks;
using Berth.Server.Events;
using Berth.Server.Logs;
using Berth.Server.Spool;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Runs;

/// <summary>
/// The task manager: owns every run from its acceptance to its stored end. <see cref="StartAsync"/> after the node,
/// <see cref="StopAsync"/> before it; the store, spool and logs given to it stay the caller's.
/// </summary>
public sealed class RunManager : IRunManager
{
    private readonly RunRooms rooms;
    private readonly RunPlaces places;
    private readonly TaskDispatcher dispatcher;
    private readonly TaskIntake intake;
    private readonly CallRegister calls;
    private readonly CallStart starts;
    private readonly InstanceStart instances;
    private readonly RunReading reading;
    private readonly RunUpkeep upkeep;
    private readonly CallbackDelivery callbacks;
    private readonly CancellationTokenSource stop = new();
    private readonly CancellationTokenSource giveUp = new();
    private readonly List<Task> loops = [];
    private volatile bool accepting;
    private int news;

    public RunManager(
        IRunStore store, INode node, RunSpool spool, RunLogs logs, RunOptions options, CallbackPolicy callbackPolicy,
        CallbackSigner signer, TimeProvider time, ILogger<RunManager> logger, IRunObserver? observer)
    {
        rooms = new RunRooms(store, node, spool, logs, new RunEventHub(), options, time, logger);
        rooms.Ledger.Observer = observer;
        places = new RunPlaces(options.MaxRunning, options.WaitingCallsLimit, "max-running or waiting-calls-limit");
        dispatcher = new TaskDispatcher(rooms, places);
        rooms.Deferred = new DeferredTasks(rooms, dispatcher.Poke);
        intake = new TaskIntake(rooms, callbackPolicy);
        calls = new CallRegister(rooms);
        starts = new CallStart(rooms, places, calls);
        instances = new InstanceStart(rooms, calls);
        reading = new RunReading(rooms, dispatcher, calls);
        DeadLetters = new DeadLetterList(rooms, intake, reading);
        Forwarding = new TaskForwarding(rooms, intake, reading, dispatcher.Poke);
        rooms.Forwarded = Forwarding.Poke;
        upkeep = new RunUpkeep(rooms, calls);
        callbacks = new CallbackDelivery(rooms, callbackPolicy, signer);
    }

    internal RunEventHub Events => rooms.Events;

    internal RunRooms Rooms => rooms;

    /// <inheritdoc cref="RunPlaces.Resize"/>
    internal void Resize(int count)
    {
        places.Resize(count);
        dispatcher.Poke();
    }

    internal DeadLetterList DeadLetters { get; }

    internal TaskForwarding Forwarding { get; }

    /// <summary>Recovers what the last server left, then begins to accept and to run.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await new RunRecovery(rooms).RunAsync(cancellationToken);
        // Before anything is accepted: later, the log of a call that the store does not have yet could be among them.
        RunId[] logs = [.. rooms.Logs.List()];
        // Tasks may need instances at once.
        accepting = true;
        loops.Add(Task.Run(() => dispatcher.RunAsync(giveUp.Token, stop.Token), CancellationToken.None));
        loops.Add(Task.Run(calls.RecordAsync, CancellationToken.None));
        loops.Add(Task.Run(() => upkeep.RunAsync(logs, stop.Token), CancellationToken.None));
        loops.Add(Task.Run(() => callbacks.RunAsync(stop.Token), CancellationToken.None));
        loops.Add(Task.Run(() => Forwarding.RunAsync(stop.Token), CancellationToken.None));
    }

    /// <summary>Refuses every new run from now on.</summary>
    public void TakeNothingNew()
    {
        accepting = false;
        rooms.IsStopping = true;
    }

    /// <summary>
    /// Takes nothing new, waits up to <paramref name="drain"/> for what is under way, then hands tasks back to the
    /// queue and ends calls. Afterwards nothing runs and everything is stored. Cancelling the token skips the waiting.
    /// </summary>
    public async Task StopAsync(TimeSpan drain, CancellationToken cancellationToken)
    {
        if (stop.IsCancellationRequested)
        {
            return;
        }

        TakeNothingNew();
        await stop.CancelAsync();
        if (loops.Count == 0)
        {
            // A start that failed before this one's turn.
            return;
        }

        // The dispatcher first: what it has just claimed is under way too.
        await loops[0].ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        int callsLeft = calls.Live.Count();
        Log.Draining(rooms.Logger, dispatcher.Count, callsLeft);
        Task drained = DrainAsync();
        using (CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
        {
            Task timer = Task.Delay(drain, rooms.Time, limit.Token);
            await Task.WhenAny(drained, timer);
            await limit.CancelAsync();
        }

        if (!drained.IsCompleted)
        {
            callsLeft = calls.Live.Count();
            Log.HandingBack(rooms.Logger, dispatcher.Count, callsLeft);
            dispatcher.HandBackAll();
            foreach (CallEntry call in calls.Live)
            {
                call.Stop(EndReason.PlatformFault);
            }

            // Stopped programs end within their grace; a store that can't be written must not keep the server.
            giveUp.CancelAfter(rooms.Options.LeaseSlack);
            await drained;
        }

        calls.Complete();
        await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        rooms.Events.Close();
    }

    public async Task<RunAcceptance> SubmitAsync(RunSubmission submission, Stream input,
        CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        RunAcceptance acceptance = await intake.AcceptAsync(submission, input, cancellationToken);
        if (acceptance.IsNew)
        {
            Interlocked.Exchange(ref news, 1);
            dispatcher.Poke();
        }

        return acceptance;
    }

    /// <summary>As <see cref="DeadLetterList.RedriveAsync"/>.</summary>
    internal async Task<Run> RedriveAsync(RunId id, string caller, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        RunAcceptance again = await DeadLetters.RedriveAsync(id, caller, cancellationToken);
        dispatcher.Poke();
        return again.Run;
    }

    /// <summary>The claims that this server works on.</summary>
    internal IReadOnlyList<(RunId Id, int Generation)> Executing => dispatcher.Executing;

    /// <summary>Runs that somebody here listens to and another server has under way.</summary>
    internal IEnumerable<RunId> FollowedElsewhere =>
        rooms.Events.Heard.Where(id => calls.Find(id) is null && dispatcher.Find(id) is null);

    /// <summary>Ends a task's program here, if this claim is still worked on.</summary>
    internal bool EndExecution(RunId id, int generation)
    {
        if (dispatcher.Find(id) is not { } execution || execution.Generation != generation)
        {
            return false;
        }

        execution.Cancel();
        return true;
    }

    /// <inheritdoc cref="TaskDispatcher.GiveWay"/>
    internal TimeSpan? GiveWay(RunId id, int generation, Nodes.GivenWay cause) =>
        dispatcher.GiveWay(id, generation, cause);

    /// <summary>Takes in what a lost server had under way.</summary>
    internal async Task RecoverAsync(IReadOnlyList<Run> adopted, CancellationToken cancellationToken)
    {
        await new RunRecovery(rooms).RecoverAsync(adopted, cancellationToken);
        await RecountAsync(cancellationToken);
    }

    /// <summary>Counts what waits for all servers, and claims of it what it may.</summary>
    internal async Task RecountAsync(CancellationToken cancellationToken)
    {
        rooms.Ledger.Recount((await rooms.Store.CountAsync(cancellationToken)).Queued);
        dispatcher.Poke();
    }

    /// <summary>Another server says that tasks wait.</summary>
    internal void Awake()
    {
        rooms.Ledger.WaitElsewhere();
        dispatcher.Poke();
    }

    /// <summary>Whether tasks came in since the last time.</summary>
    internal bool TakeNews() => Interlocked.Exchange(ref news, 0) == 1;

    /// <inheritdoc cref="RunUpkeep.SweepAsync"/>
    internal Task<int> SweepAsync(
        Func<IReadOnlyCollection<RunId>, CancellationToken, Task<IReadOnlySet<RunId>>> withFiles,
        CancellationToken cancellationToken) => upkeep.SweepAsync(withFiles, cancellationToken);

    public Task<LiveCall> CallAsync(
        RunSpec spec, string caller, RunPlaces? own, CancellationToken cancellationToken) =>
        CallAsync(spec, caller, own, ahead: null, cancellationToken);

    public Task<LiveCall> CallAsync(
        RunSpec spec, string caller, RunPlaces? own, IInputAhead? ahead, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        return starts.BeginAsync(spec, caller, own, ahead, cancellationToken);
    }

    /// <summary>Starts a program that serves many calls. Throws what keeps it from running.</summary>
    /// <param name="spec">Its timeout and output limit hold for nothing.</param>
    /// <param name="listen">As <see cref="Api.Nodes.AttemptSpec.Listen"/>.</param>
    /// <param name="room">What it takes of the server's own machine, where it runs there.</param>
    internal Task<LiveInstance> StartInstanceAsync(
        RunSpec spec, int? listen, string caller, Nodes.OwnRoom room, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        return instances.BeginAsync(spec, listen, caller, room, cancellationToken);
    }

    public Task<Run> GetAsync(RunId id, CancellationToken cancellationToken) => reading.GetAsync(id, cancellationToken);

    /// <inheritdoc cref="RunReading.Live"/>
    internal IReadOnlyList<Run> Live(string label, string value) => reading.Live(label, value);

    public Task<RunList> ListAsync(RunQuery query, CancellationToken cancellationToken) =>
        reading.ListAsync(query, cancellationToken);

    public async Task<Run> CancelAsync(RunId id, CancellationToken cancellationToken)
    {
        if (calls.Find(id) is { } call)
        {
            call.Stop(EndReason.Canceled);
            return call.Run;
        }

        while (true)
        {
            Run run = await reading.GetAsync(id, cancellationToken);
            if (run.Kind == RunKind.Container && !run.State.IsTerminal())
            {
                throw new BerthException(
                    ErrorCode.Conflict, $"Run {id} is a container's: stop the container instead.");
            }

            DateTimeOffset now = rooms.Time.GetUtcNow();
            switch (run.State)
            {
                case RunState.Queued:
                    RunChange change = RunSteps.CancelWaiting(run, now, rooms.Options.ResultRetention);
                    if (await rooms.SaveAsync(change, cancellationToken) is { Applied: true, Current: { } ended })
                    {
                        CrashPoints.Reach(CrashPoint.WaitingTaskCanceled);
                        rooms.Ledger.Wait(-1);
                        rooms.Deferred?.Forget(id);
                        return ended;
                    }

                    // It was claimed meanwhile: look again.
                    continue;

                case RunState.Starting or RunState.Running:
                    RunEvent wish = new(now, RunEventTypes.CancelRequested, run.Attempts, "Its end was asked for.");
                    Run asked = await rooms.Store.RequestCancelAsync(id, wish, cancellationToken) ?? run;
                    CrashPoints.Reach(CrashPoint.CancelAsked);
                    if (!asked.CancelRequested && !asked.State.IsTerminal())
                    {
                        continue;
                    }

                    if (!run.CancelRequested)
                    {
                        rooms.Events.Publish(id, asked.LastEvent, wish);
                    }

                    dispatcher.Find(id)?.Cancel();
                    return asked;

                default:
                    return run;
            }
        }
    }

    public Task<Run> WaitAsync(RunId id, TimeSpan limit, CancellationToken cancellationToken) =>
        reading.WaitAsync(id, limit, cancellationToken);

    public IAsyncEnumerable<RunEventView> EventsAsync(RunId id, long after, CancellationToken cancellationToken) =>
        reading.EventsAsync(id, after, cancellationToken);

    public async IAsyncEnumerable<RunEventView> AllEventsAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using RunEventHub.Subscription subscription = rooms.Events.Subscribe(null);
        await foreach (RunEventView view in subscription.ReadAsync(cancellationToken))
        {
            yield return view;
        }

        if (subscription.WasCut)
        {
            yield return RunReading.Resync(RunId.New(rooms.Time.GetUtcNow()), 0,
                rooms.Time.GetUtcNow()) with
            { Run = "" };
        }
    }

    public Task<RunWhy> WhyAsync(RunId id, CancellationToken cancellationToken) =>
        reading.WhyAsync(id, cancellationToken);

    public Task<RunContent> ResultAsync(RunId id, CancellationToken cancellationToken) =>
        reading.ResultAsync(id, cancellationToken);

    public Task<RunContent> InputAsync(RunId id, CancellationToken cancellationToken) =>
        reading.InputAsync(id, cancellationToken);

    public IAsyncEnumerable<LogLine> LogsAsync(RunId id, LogQuery query, CancellationToken cancellationToken) =>
        reading.LogsAsync(id, query, cancellationToken);

    /// <inheritdoc cref="RunReading.LocalLogsAsync"/>
    internal IAsyncEnumerable<LogLine> LocalLogsAsync(
        RunId id, LogQuery query, CancellationToken cancellationToken) =>
        reading.LocalLogsAsync(id, query, cancellationToken);

    public RunView View(Run run) => RunPresentation.View(run);

    public RunStatistics Statistics() => rooms.Ledger.Statistics(places);

    // Calls that arrive while it drains are refused at the door, so that this ends.
    private async Task DrainAsync()
    {
        await dispatcher.DrainAsync();
        await calls.DrainAsync();
    }

    private void ThrowUnlessAccepting()
    {
        if (!accepting)
        {
            rooms.Ledger.Refused();
            throw CallStart.ShuttingDown(null);
        }
    }
}
