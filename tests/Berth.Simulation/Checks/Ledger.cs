using Berth.Core.Placement;
using Berth.Core.Runs;
using Berth.Simulation.Actors;

namespace Berth.Simulation.Checks;

/// <summary>A promise was broken.</summary>
internal sealed class BrokenPromiseException(string promise, string what) : Exception($"{promise}: {what}")
{
    public string Promise { get; } = promise;
}

/// <summary>Sees everything and holds it against the promises. No actor can ask it anything.</summary>
internal sealed class Ledger
{
    public const string NothingLost = "no accepted task is lost";
    public const string OneResult = "one visible result";
    public const string Capacity = "no capacity is exceeded";
    public const string OneHolder = "a generation has one holder";
    public const string Leases = "leases are respected";
    public const string Ends = "everything ends once faults stop";
    public const string GivesWay = "only what is lower gives way, and to what that helps";
    public const string NothingLeft = "nothing is left behind";

    private readonly HashSet<RunId> accepted = [];
    private readonly Dictionary<RunId, RunState> seen = [];
    private readonly Dictionary<RunId, int> claimed = [];
    private readonly Dictionary<(RunId Run, int Generation), SimulatedNode> holders = [];
    private readonly Dictionary<RunId, List<(int Generation, SimulatedNode Node)>> running = [];

    public int Accepted => accepted.Count;

    public int Starts { get; private set; }

    public int Claims { get; private set; }

    /// <summary>The client was told 202.</summary>
    public void Accept(RunId id) => accepted.Add(id);

    /// <summary>The client was told how it ended.</summary>
    public void See(RunId id, RunState state)
    {
        if (state.IsTerminal() && !seen.TryAdd(id, state) && seen[id] != state)
        {
            throw new BrokenPromiseException(OneResult, $"{id} was {seen[id]} and is {state}");
        }
    }

    public void Commit(Run before, RunChange change)
    {
        Run after = change.Next;
        if (before.State.IsTerminal())
        {
            throw new BrokenPromiseException(OneResult, $"{before.Id} had ended as {before.State}; now {after.State}");
        }

        if (after.State.IsTerminal() && change.ExpectedGeneration != claimed.GetValueOrDefault(before.Id)
            && before.State != RunState.Queued)
        {
            throw new BrokenPromiseException(
                OneResult, $"{before.Id} is {after.State} by generation {change.ExpectedGeneration}, "
                + $"while {claimed.GetValueOrDefault(before.Id)} is under way");
        }

        if (after.Attempts > after.Spec.Retry.MaxAttempts)
        {
            throw new BrokenPromiseException(Ends, $"{after.Id} is at attempt {after.Attempts}");
        }
    }

    public void Claim(Run run, SimulatedNode node)
    {
        Claims++;
        if (!holders.TryAdd((run.Id, run.Generation), node))
        {
            throw new BrokenPromiseException(OneHolder, $"{run.Id}/{run.Generation} was claimed twice");
        }

        claimed[run.Id] = run.Generation;
    }

    /// <summary>A round of one server's planner, before it is told to anybody.</summary>
    /// <param name="before">The nodes as the server knew them.</param>
    public static void Plan(IReadOnlyList<NodeSnapshot> before, IReadOnlyList<PlacementPlan> plans)
    {
        foreach (PlacementPlan plan in plans.Where(p => p.Evicted.Count > 0))
        {
            if (plan.Node is null || plan.Fitting > 0
                || plan.Evicted.Any(run => !run.IsBatch || run.Priority >= plan.Request.Priority))
            {
                throw new BrokenPromiseException(GivesWay, plan.Explain());
            }
        }

        foreach (NodeSnapshot node in before)
        {
            PlacementPlan[] here = [.. plans.Where(plan => plan.Node == node.Name)];
            PlacedRun[] there = [.. node.Runs.Where(run => here.All(plan => plan.Evicted.All(e => e.Id != run.Id)))];
            // What another server placed there meanwhile, and the node told of, is there already.
            PlacementPlan[] added = [.. here.Where(plan => node.Runs.All(run => run.Id != plan.Request.Id))];
            NodeResources[] held = [.. there.Select(run => run.Resources), .. added.Select(p => p.Request.Resources)];
            // More than there is may have been placed by several servers; nobody adds to it.
            if (added.Length > 0 && (held.Sum(r => r.Millicores) > node.Capacity.Millicores
                || held.Sum(r => r.Memory.Bytes) > node.Capacity.Memory.Bytes))
            {
                throw new BrokenPromiseException(Capacity, $"{added.Length} plans in one round for {node.Name}");
            }
        }
    }

    /// <summary>A program begins.</summary>
    public void Begin(RunId run, int generation, SimulatedNode node)
    {
        Starts++;
        if (holders.GetValueOrDefault((run, generation)) != node)
        {
            throw new BrokenPromiseException(
                OneHolder, $"{run}/{generation} begins on {node.Name}, which holds it not");
        }

        if (!running.TryGetValue(run, out List<(int Generation, SimulatedNode Node)>? others))
        {
            running.Add(run, others = []);
        }

        others.Add((generation, node));
        CheckAlone(run);
        node.CheckCapacity();
    }

    public void End(RunId run, int generation, SimulatedNode node) =>
        running.GetValueOrDefault(run)?.Remove((generation, node));

    /// <summary>What stood still goes on.</summary>
    public void GoOn(IEnumerable<RunId> runs)
    {
        foreach (RunId run in runs)
        {
            CheckAlone(run);
        }
    }

    public void Finish(SimulatedStore store, IEnumerable<SimulatedNode> nodes, IEnumerable<SimulatedServer> servers)
    {
        foreach (RunId id in accepted)
        {
            Run run = store.Find(id) ?? throw new BrokenPromiseException(NothingLost, $"{id} is nowhere");
            if (!run.State.IsTerminal())
            {
                throw new BrokenPromiseException(Ends, $"{id} is {run.State}, attempt {run.Attempts}");
            }

            See(id, run.State);
        }

        foreach (SimulatedNode node in nodes.Where(node => node.Programs > 0))
        {
            throw new BrokenPromiseException(NothingLeft, $"{node.Name} runs {node.Programs} programs");
        }

        foreach (SimulatedServer server in servers)
        {
            server.CheckEmpty();
        }
    }

    private void CheckAlone(RunId run)
    {
        (int Generation, SimulatedNode Node)[] alive = [.. running[run].Where(entry => entry.Node.IsRunning)];
        if (alive.Length > 1)
        {
            string[] who = [.. alive.Select(entry => $"{entry.Generation} on {entry.Node.Name}")];
            throw new BrokenPromiseException(Leases, $"{run} runs at once as {string.Join(" and ", who)}");
        }
    }
}
