using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Networks;
using Berth.Core.Runs;
using Berth.Core.Secrets;
using Berth.Server.Cluster;
using Berth.Server.Events;
using Berth.Server.Functions;
using Berth.Server.Logs;
using Berth.Server.Nodes;
using Berth.Server.Secrets;
using Berth.Server.Spool;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Runs;

/// <summary>What the parts of the task manager work with, given once.</summary>
internal sealed record RunRooms(
    IRunStore Store, INode Node, RunSpool Spool, RunLogs Logs, RunEventHub Events, RunOptions Options,
    TimeProvider Time,
    ILogger Logger)
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    public RunLedger Ledger { get; } = new();

    /// <summary>Submissions that failed and may be true all the same; their inputs are kept until that is
    /// known.</summary>
    public ConcurrentQueue<RunId> Doubts { get; } = new();

    /// <summary>Decides what is due.</summary>
    public SteadyClock Clock { get; } = new(Time);

    /// <summary>Gives a call to an instance of its function; set before anything runs.</summary>
    public Func<Run, AttemptSpec, CancellationToken, Task<IAttempt>>? Services { get; set; }

    /// <summary>Results that answer more than the run they were made for; set before anything runs.</summary>
    public ITaskResults? Results { get; set; }

    /// <summary>Gives an attempt of a call or task to the node that suits it; set before anything runs. Null where the
    /// server's own is the only one.</summary>
    public NodeFleet? Fleet { get; set; }

    /// <summary>Tasks that wait for a node; set before anything runs.</summary>
    public DeferredTasks? Deferred { get; set; }

    /// <summary>The servers that have what is not here; set before anything runs. Null where there can be
    /// none.</summary>
    public Peers? Peers { get; set; }

    /// <summary>This server's part of functions' logs; set before anything runs.</summary>
    public FunctionLog? FunctionLog { get; set; }

    /// <summary>Told that there is an end to be handed on to a function; set before anything runs.</summary>
    public Action? Forwarded { get; set; }

    /// <summary>Values of secrets as they are now, for a program that starts; set before anything runs.</summary>
    public Func<IReadOnlyList<SecretUse>, SecretValues>? Secrets { get; set; }

    /// <summary>The network of a program that starts, as it is; set before anything runs. Throws <c>NotFound</c>.
    /// </summary>
    public Func<NetworkUse, NetworkDefinition>? Networks { get; set; }

    /// <summary>The server takes nothing new and ends what is under way.</summary>
    public bool IsStopping { get; set; }

    /// <summary>Begins an attempt of a task, as <see cref="INode.StartAsync(AttemptSpec, CancellationToken)"/> does.
    /// </summary>
    public async Task<IAttempt> StartAsync(ClaimedRun claimed, Run run, CancellationToken cancellationToken)
    {
        AttemptSpec order = Order(run, run.Spec.Timeout);
        if (run.Spec.Service is not null)
        {
            return await (Services ?? throw new InvalidOperationException("Nothing answers over HTTP here."))(
                run, order, cancellationToken);
        }

        if (claimed.InlineInput is not null || run.Input.Place != BodyPlace.Spooled)
        {
            order = order with { Ahead = new KnownInput(claimed.InlineInput) };
        }

        return Results is { } results && await results.FindAsync(claimed, order, cancellationToken) is { } kept
            ? kept
            : await PlaceAsync(run, order, mayWait: false, cancellationToken);
    }

    /// <summary>Says that a program is to be expected soon, where it would run.</summary>
    public void Expect(Run run)
    {
        if (run.Spec.Bridge is null && Fleet is { } fleet)
        {
            fleet.Expect(run);
            return;
        }

        try
        {
            // What is in a network is where that is.
            Node.Expect(Shape(run.Spec));
        }
        catch (BerthException gone) when (gone.Code == ErrorCode.NotFound)
        {
            // The network was removed in this moment; the run will say so.
        }
    }

    /// <summary>Begins an attempt on whichever node suits it. Throws <c>NoNode</c> where none does.</summary>
    /// <param name="mayWait">Whether it waits for room on a node, where that is all it lacks.</param>
    public Task<IAttempt> PlaceAsync(
        Run run, AttemptSpec order, bool mayWait, CancellationToken cancellationToken) =>
        Fleet is { } fleet
            ? fleet.StartAsync(run, order, mayWait, cancellationToken)
            : Node.StartAsync(order, cancellationToken);

    /// <param name="left">What is left of its time when it is given to a node; null where it may run for ever.</param>
    /// <exception cref="BerthException">NotFound, Conflict: a secret of its program is gone.</exception>
    public AttemptSpec Order(Run run, TimeSpan? left)
    {
        RunSpec spec = run.Spec;
        Dictionary<string, string> environment = new(spec.Environment) { ["BERTH_RUN_ID"] = run.Id.Text };
        // An instance has them already where the call is one of a service's.
        SecretValues values = spec is { Secrets: { } uses, Service: null }
            ? (Secrets ?? throw new InvalidOperationException("Nothing keeps secrets here."))(uses)
            : SecretValues.None;
        foreach ((string variable, string value) in values.Variables)
        {
            environment[variable] = value;
        }

        return new AttemptSpec(
            $"{run.Id}-{run.Generation}", run.Id, run.Generation, Shape(spec), spec.Command, spec.Arguments,
            environment, spec.User,
            spec.WorkingDirectory, left, spec.Grace, Extras: ExtrasOf(spec, values.Extras(spec.User)),
            Found: spec.Bridge is null ? null : new AttemptNetwork(NamesOf(spec), []));
    }

    private static SandboxExtras? ExtrasOf(RunSpec spec, SandboxExtras? files) => spec.Mounts is not { } mounts
        ? files
        : new SandboxExtras(
            null, ReadOnlyRoot: false,
            SandboxMount.InOrder([.. files?.Mounts ?? [], .. mounts.Select(SandboxMount.Of)]), null);

    /// <exception cref="BerthException">NotFound: its network is gone.</exception>
    public SandboxSpec Shape(RunSpec spec) => Shape(spec, NetworkOf(spec.Bridge));

    public static SandboxSpec Shape(RunSpec spec, NetworkDefinition? network) =>
        new(spec.Digest, spec.Limits, spec.Network, spec.Runtime, spec.Family, spec.Reuse, network);

    /// <exception cref="BerthException">NotFound: it is gone.</exception>
    public NetworkDefinition? NetworkOf(NetworkUse? use) => use is null
        ? null
        : (Networks ?? throw new InvalidOperationException("Nothing keeps networks here."))(use);

    /// <summary>A function is found by its name, whichever of its programs answers.</summary>
    private static IReadOnlyList<string> NamesOf(RunSpec spec) =>
        spec.Labels.TryGetValue(FunctionLabels.Function, out string? function) ? [function] : [];

    /// <summary>
    /// Makes a step true and tells of it. While the store can't be written it is tried again, because the truth of an
    /// attempt exists nowhere else; once the server has to end, recovery does the rest.
    /// </summary>
    public async Task<SaveOutcome> SaveAsync(RunChange change, CancellationToken giveUp)
    {
        change = DeadLetters.Mark(
            change, change.Next.Spec.Labels.ContainsKey(FunctionLabels.Function), Options.DeadLetterRetention);
        change = RunPresentation.WithCallback(change, Clock.Now);
        SaveOutcome outcome = await PersistAsync(
            () => Store.SaveAsync(change, giveUp), fault => Log.StepNotStored(Logger, change.Next.Id, fault), giveUp);
        if (outcome is { Applied: true, Current: { } current })
        {
            Publish(change, current);
            if (change.Forward is not null)
            {
                Forwarded?.Invoke();
            }
        }

        return outcome;
    }

    /// <summary>Writes what must be written, again and again while the store can't be.</summary>
    /// <param name="tell">Told of every write that failed.</param>
    public async Task<T> PersistAsync<T>(Func<Task<T>> write, Action<BerthException> tell, CancellationToken giveUp)
    {
        while (true)
        {
            try
            {
                return await write();
            }
            catch (BerthException fault) when (
                fault.Code is ErrorCode.StorageFull or ErrorCode.StorageFault or ErrorCode.StorageDamaged)
            {
                tell(fault);
                await Task.Delay(RetryPause, Time, giveUp);
            }
        }
    }

    /// <summary>Deletes files of the given runs, but of those that are to keep theirs; returns how many went.</summary>
    /// <param name="keep">Those of some that keep them.</param>
    public async Task<int> SweepSpoolAsync(
        IEnumerable<RunId> runs,
        Func<IReadOnlyCollection<RunId>, CancellationToken, Task<IReadOnlySet<RunId>>> keep,
        CancellationToken cancellationToken)
    {
        const int page = 256;
        int swept = 0;
        foreach (RunId[] ids in runs.Chunk(page))
        {
            IReadOnlySet<RunId> kept = await keep(ids, cancellationToken);
            foreach (RunId id in ids.Where(id => !kept.Contains(id)))
            {
                Spool.Delete(id);
                CrashPoints.Reach(CrashPoint.LeftSpoolDeleted);
                swept++;
            }
        }

        return swept;
    }

    private void Publish(RunChange change, Run current)
    {
        long sequence = current.LastEvent - change.Events.Count;
        foreach (RunEvent entry in change.Events)
        {
            Events.Publish(current.Id, ++sequence, entry);
        }

        if (current.State.IsTerminal())
        {
            Logs.Complete(current.Id);
            Ledger.Count(current);
        }
    }
}
