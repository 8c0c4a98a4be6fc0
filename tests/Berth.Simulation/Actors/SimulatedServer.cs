using System.Globalization;
using Berth.Core.Nodes;
using Berth.Core.Placement;
using Berth.Core.Runs;
using Berth.Simulation.Checks;
using Berth.Simulation.Worlds;

namespace Berth.Simulation.Actors;

/// <summary>One of the equal servers: takes tasks in, places what waits with the planner of Core, listens to nodes,
/// writes ends down, and takes over what lapsed. Killed, it forgets all; the store and the nodes tell it
/// again.</summary>
internal sealed class SimulatedServer(World world, string name) : Actor(world, name)
{
    private const int Batch = 20;

    private static readonly TimeSpan Retention = TimeSpan.FromHours(24);
    private static readonly TimeSpan Reconciled = TimeSpan.FromSeconds(5);

    private readonly Dictionary<SimulatedNode, Known> nodes = [];
    private readonly Dictionary<(string Node, string Id), Placement> placements = [];
    private readonly HashSet<string> claiming = [];
    private PlacementIndex index = new(0);
    private PlacementQueue queue = new(new TenantShares());
    private ListeningTime listening;
    private bool isPlacing;

    private SimulatedStore Store => World.Store;

    public void Submit(string key, RunSpec spec, Action<RunId> accepted)
    {
        byte[] rest = new byte[10];
        Random.NextBytes(rest);
        RunId id = RunId.FromParts(Moment.At.ToUnixTimeMilliseconds(), rest);
        Run run = Run.Accepted(id, RunKind.Task, spec, key[..key.IndexOf('/')], Moment, default);
        Ask(Store, () => Store.Accept(key, run), known =>
        {
            if (known is { } kept)
            {
                accepted(kept);
            }
        });
    }

    public void Cancel(RunId id)
    {
        RunMoment now = Moment;
        Ask(Store, () =>
        {
            Store.RequestCancel(id, now, Retention);
            return true;
        }, _ => { });
    }

    public void Show(RunId id, Action<RunState> answer) => Ask(Store, () => Store.Find(id), run =>
    {
        if (run is not null)
        {
            answer(run.State);
        }
    });

    /// <summary>A heartbeat.</summary>
    /// <param name="at">By the node's own clock.</param>
    public void Hear(SimulatedNode node, NodeSnapshot snapshot, TimeSpan at)
    {
        if (!nodes.TryGetValue(node, out Known? known))
        {
            nodes.Add(node, known = new Known { Liveness = NodeLiveness.Joined(Steady) });
        }

        // One that was overtaken by a later one tells of what is no more.
        if (at < known.Beat)
        {
            return;
        }

        known.Beat = at;
        known.Node = snapshot;
        known.Liveness = known.Liveness.Hear(Steady, out _);
        Refresh(known);
        if (!known.Liveness.IsSettled)
        {
            Settle(node, known, snapshot);
        }
    }

    public void Started(RunId id, int generation, string node)
    {
        RunMoment now = Moment;
        Ask(Store, () => Store.Find(id) is { State: RunState.Starting } run && run.Generation == generation
            && Store.Save(RunSteps.Start(run, node, RunTimings.None, now.At, [])), _ => { });
    }

    public void Renew(RunId id, int generation, Action<bool?> answer) =>
        Ask(Store, () => (Answer: Store.Renew(id, generation), true), renewed => answer(renewed.Answer));

    /// <summary>An attempt ended; told again until <paramref name="written"/>.</summary>
    public void Ended(RunId id, int generation, RunEnd end, bool isHandBack, Action written)
    {
        RunMoment now = Moment;
        double random = Random.NextDouble();
        Ask(Store, () => Write(id, generation, end, isHandBack, now, random), _ => written());
    }

    public void CheckEmpty()
    {
        foreach (NodeSnapshot? node in index.Snapshot())
        {
            if (node is { Runs.Count: > 0 })
            {
                throw new BrokenPromiseException(
                    Ledger.NothingLeft, $"{Name} believes {node.Runs[0].Id} to be on {node.Name}");
            }
        }
    }

    protected override void OnStart()
    {
        nodes.Clear();
        placements.Clear();
        claiming.Clear();
        index = new PlacementIndex((ulong)Random.Next());
        queue = new PlacementQueue(index.Shares);
        listening = ListeningTime.Begin(Steady);
        isPlacing = false;
        Every(TimeSpan.FromMilliseconds(500), Look);
        Every(TimeSpan.FromMilliseconds(300), Place);
        Every(TimeSpan.FromSeconds(1), TakeOver);
        Every(TimeSpan.FromSeconds(2), Reconcile);
    }

    // An end that overtook its own start brings the start along.
    private bool Write(RunId id, int generation, RunEnd end, bool isHandBack, RunMoment now, double random)
    {
        if (Store.Find(id) is not { } run || run.State.IsTerminal() || run.State == RunState.Queued)
        {
            return false;
        }

        // Of whom it is told is not asked here: the store's own rule refuses what comes too late.
        Run told = run with { Generation = generation };
        if (isHandBack && !run.CancelRequested)
        {
            return Store.Save(RunSteps.HandBack(told, end, now));
        }

        if (run.State == RunState.Starting && end.Reason is EndReason.Completed)
        {
            told = RunSteps.Start(told, Name, RunTimings.None, now.At, []).Next;
        }

        return Store.Save(RunSteps.End(told, end, now, random, Retention, []));
    }

    private void Look()
    {
        listening = listening.Look(Steady, LivenessRules.Default);
        foreach (Known known in nodes.Values)
        {
            known.Liveness = known.Liveness.Judge(
                Steady, listening.Since, LivenessRules.Default, out LivenessChange change);
            if (change != LivenessChange.None)
            {
                World.Tell($"{Name}: {known.Node!.Name} {change}");
                Refresh(known);
            }
        }
    }

    private void Refresh(Known known) => index.Update(known.Node! with
    {
        State = known.Liveness is { State: NodeAvailability.Ready, IsSettled: false }
            ? NodeAvailability.Suspect
            : known.Liveness.State,
    });

    private void Settle(SimulatedNode node, Known known, NodeSnapshot snapshot) => Ask(
        Store, Store.UnderWay, underWay =>
        {
            string[] stale = [.. snapshot.Runs.Select(run => run.Id).Where(id => !underWay.Contains(id))];
            Ask(node, () => node.Settle(stale), _ =>
            {
                known.Liveness = known.Liveness.Settle();
                Refresh(known);
            });
        });

    private void Place()
    {
        // One round at a time: what it read of the queue is old once it has claimed.
        if (isPlacing)
        {
            return;
        }

        isPlacing = true;
        RunMoment now = Moment;
        Ask(Store, () => (Ready: Store.Ready(now, Batch), Old: Store.OverAge(now)), found =>
        {
            foreach (Run old in found.Old)
            {
                RunChange expired = RunSteps.Expire(old, now.At, Retention);
                Ask(Store, () => Store.Save(expired), _ => { });
            }

            Plan(found.Ready);
            After(TimeSpan.FromSeconds(1), () => isPlacing = false);
        }, () => isPlacing = false);
    }

    private void Plan(IReadOnlyList<Run> ready)
    {
        Dictionary<string, Run> runs = [];
        queue.Clear();
        foreach (Run run in ready)
        {
            PlacementRequest request = Request(run);
            // Whether an earlier claim of it succeeded is not known yet.
            if (claiming.Contains(request.Id))
            {
                continue;
            }

            runs.Add(request.Id, run);
            queue.Add(request);
        }

        NodeSnapshot[] before = [.. index.Snapshot().OfType<NodeSnapshot>()];
        List<PlacementPlan> plans = [];
        while (queue.Take() is { } request)
        {
            if (World.Decisions.Place(index, request) is { Node: not null } plan)
            {
                plans.Add(plan);
            }
        }

        Ledger.Plan(before, plans);
        foreach (PlacementPlan plan in plans)
        {
            Claim(runs[plan.Request.Id], plan);
        }
    }

    private void Claim(Run run, PlacementPlan plan)
    {
        (SimulatedNode node, Known known) = nodes.First(entry => entry.Key.Name == plan.Node);
        TimeSpan beat = known.Beat;
        placements[(plan.Node!, plan.Request.Id)] = new Placement(plan, Steady);
        claiming.Add(plan.Request.Id);
        Ask(Store, () => Store.Claim(run, node), claimed =>
        {
            claiming.Remove(plan.Request.Id);
            if (claimed is null)
            {
                Forget(plan);
                return;
            }

            foreach (PlacedRun evicted in plan.Evicted)
            {
                World.Network.Send(this, node, () => node.Evict(evicted.Id));
            }

            World.Network.Send(this, node, () => node.Begin(claimed, plan.Request, beat));
        }, () =>
        {
            claiming.Remove(plan.Request.Id);
            Forget(plan);
        });
    }

    private void Forget(PlacementPlan plan)
    {
        placements.Remove((plan.Node!, plan.Request.Id));
        index.Cancel(plan);
    }

    private void TakeOver() => Ask(Store, Store.Lapsed, lapsed =>
    {
        foreach (Run run in lapsed)
        {
            if (World.Decisions.Recover(run, Moment, Retention) is { } change)
            {
                Ask(Store, () => Store.TakeOver(change), _ => { });
            }
        }
    });

    // What it placed and no node has told of: the claim may have ended without anybody telling this server.
    private void Reconcile()
    {
        TimeSpan before = Steady - Reconciled;
        Ask(Store, Store.UnderWay, underWay =>
        {
            foreach (Placement placement in placements.Values.ToArray())
            {
                if (placement.At < before && !underWay.Contains(placement.Plan.Request.Id))
                {
                    Forget(placement.Plan);
                }
            }
        });
    }

    private static PlacementRequest Request(Run run) =>
        new($"{run.Id}/{run.Generation + 1}", run.Caller, NodeResources.Of(run.Spec.Limits))
        {
            Priority = int.Parse(run.Spec.Labels["priority"], CultureInfo.InvariantCulture),
            IsBatch = run.Spec.Labels["batch"] == "1",
            Group = run.Caller,
            Spread = run.Spec.Labels["batch"] == "1" ? new SpreadRule("zone", null) : null,
        };

    private sealed class Known
    {
        public required NodeLiveness Liveness { get; set; }

        public TimeSpan Beat { get; set; } = TimeSpan.MinValue;

        public NodeSnapshot? Node { get; set; }
    }

    private sealed record Placement(PlacementPlan Plan, TimeSpan At);
}
