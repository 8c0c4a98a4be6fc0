using Berth.Core.Runs;
using Berth.Simulation.Worlds;

namespace Berth.Simulation.Actors;

/// <summary>The store that all servers share. What it wrote survives its being killed; while it is down nobody gets an
/// answer. Its rules are those of Core.</summary>
internal sealed class SimulatedStore(World world) : Actor(world, "store")
{
    private readonly Dictionary<RunId, Row> rows = [];
    private readonly Dictionary<string, RunId> keys = [];

    /// <summary>No room for what is new; what was accepted can still end.</summary>
    public bool IsFull { get; set; }

    public bool IsDone => rows.Values.All(row => row.Run.State.IsTerminal());

    public Run? Find(RunId id) => rows.GetValueOrDefault(id)?.Run;

    /// <summary>Makes a run durable; the first one of its key. Null where there is no room.</summary>
    public RunId? Accept(string key, Run run)
    {
        if (keys.TryGetValue(key, out RunId known))
        {
            return known;
        }

        if (IsFull)
        {
            return null;
        }

        if (World.Decisions.WritesFirst || Random.Next(20) > 0)
        {
            rows.Add(run.Id, new Row { Run = run });
        }

        keys.Add(key, run.Id);
        return run.Id;
    }

    public IReadOnlyList<Run> Ready(RunMoment now, int limit) =>
    [
        .. rows.Values.Select(row => row.Run).Where(run => RunClaims.IsReady(run, now))
            .OrderBy(run => run.ReadyAt).Take(limit),
    ];

    public IReadOnlyList<Run> OverAge(RunMoment now) =>
    [
        .. rows.Values.Select(row => row.Run)
            .Where(run => run.State == RunState.Queued && RunSteps.IsOverAge(run, now)),
    ];

    /// <summary>Runs whose claim lapsed: nobody has renewed it for as long as it holds.</summary>
    public IReadOnlyList<Run> Lapsed() =>
        [.. rows.Values.Where(IsLapsed).Select(row => row.Run)];

    /// <summary>Runs under way, each with its generation.</summary>
    public IReadOnlySet<string> UnderWay() =>
        rows.Values.Where(row => row.Run.State is RunState.Starting or RunState.Running)
            .Select(row => $"{row.Run.Id}/{row.Run.Generation}").ToHashSet();

    /// <summary>Takes a run; null where another one was faster.</summary>
    public Run? Claim(Run expected, SimulatedNode node)
    {
        RunChange change = RunClaims.Claim(expected);
        if (!Save(change))
        {
            return null;
        }

        rows[expected.Id].Lease = new RunLease(change.Next.Generation, Steady);
        World.Ledger.Claim(change.Next, node);
        World.Tell($"{change.Next.Id}/{change.Next.Generation} claimed for {node.Name}");
        return change.Next;
    }

    /// <summary>Applies a step that comes in time.</summary>
    public bool Save(RunChange change)
    {
        Row row = rows[change.Next.Id];
        if (!World.Decisions.Admits(row.Run, change))
        {
            return false;
        }

        World.Ledger.Commit(row.Run, change);
        if (row.Run.State != change.Next.State)
        {
            World.Tell($"{row.Run.Id} {row.Run.State} → {change.Next.State}, generation {change.Next.Generation}");
        }

        row.Run = change.Next with { CancelRequested = row.Run.CancelRequested || change.Next.CancelRequested };
        return true;
    }

    /// <summary>What becomes of a run whose claim lapsed: judged again here, where it is written.</summary>
    public bool TakeOver(RunChange change) => IsLapsed(rows[change.Next.Id]) && Save(change);

    /// <summary>Null where the claim is another's by now; else whether the run is to be ended.</summary>
    public bool? Renew(RunId id, int generation)
    {
        Row row = rows[id];
        if (row.Run.State is not (RunState.Starting or RunState.Running) || IsLapsed(row)
            || row.Lease.Renew(generation, Steady) is not { } renewed)
        {
            return null;
        }

        row.Lease = renewed;
        return row.Run.CancelRequested;
    }

    public void RequestCancel(RunId id, RunMoment now, TimeSpan retention)
    {
        if (!rows.TryGetValue(id, out Row? row))
        {
            return;
        }

        if (row.Run.State == RunState.Queued)
        {
            Save(RunSteps.CancelWaiting(row.Run, now.At, retention));
        }
        else if (!row.Run.State.IsTerminal())
        {
            row.Run = row.Run with { CancelRequested = true };
        }
    }

    protected override void OnStart()
    {
    }

    private bool IsLapsed(Row row) => row.Run.State is RunState.Starting or RunState.Running
        && row.Lease.MayBeTaken(Steady, World.Decisions.JudgedBy);

    private sealed class Row
    {
        public required Run Run { get; set; }

        public RunLease Lease { get; set; }
    }
}
