using System.Collections.Frozen;
using System.Security.Cryptography;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>
/// The nodes as work is placed on them: kept as nodes are heard of, as their owner changes their records, and as
/// attempts begin and end, so that no placement looks at all nodes. Decisions are Core's planner's. Thread-safe.
/// </summary>
internal sealed class NodeIndex
{
    /// <summary>The server has every image; of those that were run it is told here.</summary>
    private const int MostOwnImages = 4096;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(10);

    private readonly INode own;
    private readonly int ownPlaces;
    private readonly string ownName;
    private readonly Lock gate = new();
    private readonly PlacementIndex index = new((ulong)RandomNumberGenerator.GetInt32(int.MaxValue));
    private readonly PlacementLine line = new();
    private readonly Departures departures;

    /// <summary>Who waits for what is ended for it, by the id of its request.</summary>
    private readonly Dictionary<string, TaskCompletionSource> clearing = new(StringComparer.Ordinal);
    private readonly HashSet<string> ownImages = new(StringComparer.Ordinal);

    /// <summary>The last that was told of each node.</summary>
    private readonly Dictionary<string, NodeSnapshot> snapshots = new(StringComparer.Ordinal);
    private NodeEntry? ownEntry;
    private volatile bool isOwnAlone;

    /// <param name="own">The server's own node.</param>
    public NodeIndex(INode own, int ownPlaces)
    {
        this.own = own;
        this.ownPlaces = ownPlaces;
        ownName = own.Info.Name;
        departures = new Departures(index);
    }

    /// <summary>The volumes that a node has; set before anything runs.</summary>
    public Func<string, IReadOnlySet<string>> VolumesOn { get; set; } = static _ => FrozenSet<string>.Empty;

    /// <summary>Whether the server's own node is the only one and takes everything: then there is nothing to decide,
    /// and its places alone bound what runs.</summary>
    public bool IsOwnAlone => isOwnAlone;

    /// <summary>Sandboxes that may run at once on all nodes that take new work.</summary>
    public int Places
    {
        get
        {
            lock (gate)
            {
                return snapshots.Values.Where(n => n.State == NodeAvailability.Ready).Sum(n => n.Places ?? 0);
            }
        }
    }

    /// <summary>Takes in what is new of a node, or the node.</summary>
    public void Update(NodeEntry node)
    {
        // Not under the lock: it looks at every sandbox.
        IReadOnlyDictionary<string, int> ready = ReadyOn(node);
        lock (gate)
        {
            Put(node, ready);
            line.Serve(Take, Withdraw);
        }
    }

    /// <summary>As <see cref="Update(NodeEntry)"/>, of a node that is told of whole.</summary>
    public void Update(NodeSnapshot node)
    {
        lock (gate)
        {
            Put(node);
            line.Serve(Take, Withdraw);
        }
    }

    public void Remove(string name)
    {
        lock (gate)
        {
            index.Remove(name);
            snapshots.Remove(name);
            LookAround();
        }
    }

    /// <summary>What was placed on a node and has not ended.</summary>
    public int RunningOn(string node)
    {
        lock (gate)
        {
            return index.CountOn(node);
        }
    }

    /// <summary>Decides where a request goes and counts it as placed there until <see cref="Release"/>. Where all that
    /// it lacks is room, it waits for that. Throws <c>NoNode</c>, which says who refused it for what.</summary>
    /// <param name="mayWait">Otherwise it is refused at once.</param>
    public async Task<PlacementPlan> PlaceAsync(
        PlacementRequest request, bool mayWait, CancellationToken cancellationToken)
    {
        PlacementLine.Waiter? waiter;
        TaskCompletionSource<PlacementPlan> turn;
        lock (gate)
        {
            Know(request.Image);
            PlacementPlan plan = Take(request);
            if (plan.Node is not null)
            {
                return plan;
            }

            turn = new TaskCompletionSource<PlacementPlan>(TaskCreationOptions.RunContinuationsAsynchronously);
            bool lacksRoomAlone = LacksRoomAlone(plan);
            waiter = mayWait && lacksRoomAlone ? line.Add(request, turn.TrySetResult) : null;
            if (waiter is null)
            {
                throw Refusal(plan, lacksRoomAlone);
            }
        }

        await using CancellationTokenRegistration leaving = cancellationToken.Register(() =>
        {
            lock (gate)
            {
                line.Remove(waiter);
                turn.TrySetCanceled(cancellationToken);
            }
        });
        return await turn.Task;
    }

    /// <summary>Calls back once, when a node could take what <see cref="PlaceAsync"/> refused; nothing is kept for it
    /// there.</summary>
    /// <returns>Ends that.</returns>
    public IDisposable Watch(PlacementRequest request, Action come)
    {
        lock (gate)
        {
            PlacementLine.Waiter? waiter = line.Add(request, _ => Tell(come));
            // What came free since the refusal woke nobody.
            line.Serve(Take, Withdraw);
            return new Leaving(this, waiter);
        }
    }

    /// <summary>What is no longer placed leaves its room to who waits.</summary>
    public void Release(string node, string id)
    {
        lock (gate)
        {
            if (Drop(node, id))
            {
                line.Serve(Take, Withdraw);
            }
        }
    }

    /// <summary>Completes when all that a plan evicts has ended, or the plan was cancelled.</summary>
    public Task ClearedAsync(PlacementPlan plan)
    {
        lock (gate)
        {
            return clearing.TryGetValue(plan.Request.Id, out TaskCompletionSource? turn)
                ? turn.Task
                : Task.CompletedTask;
        }
    }

    /// <summary>Where a request would go now; null for nowhere. Nothing is counted.</summary>
    public string? Choice(PlacementRequest request)
    {
        lock (gate)
        {
            Know(request.Image);
            return index.Plan(request).Node;
        }
    }

    /// <summary>As <see cref="PlacementIndex.ToFetch"/>.</summary>
    public IReadOnlyList<string> ToFetch(PlacementRequest request, int most)
    {
        lock (gate)
        {
            Know(request.Image);
            return index.ToFetch(request, most);
        }
    }

    /// <summary>What <see cref="PlaceAsync"/> would refuse a request with.</summary>
    public BerthException WhyNot(PlacementRequest request)
    {
        lock (gate)
        {
            PlacementPlan plan = index.Plan(request);
            return Refusal(plan, LacksRoomAlone(plan));
        }
    }

    /// <summary>How a node is for new work; lost where there is none of the name.</summary>
    public NodeAvailability StateOf(string node)
    {
        lock (gate)
        {
            return snapshots.TryGetValue(node, out NodeSnapshot? known) ? known.State : NodeAvailability.Lost;
        }
    }

    /// <summary>Nodes that may have a request if they have room, in no order.</summary>
    public IReadOnlyList<string> Suiting(PlacementRequest request, int most)
    {
        lock (gate)
        {
            return
            [
                .. snapshots.Values.Where(n => n.State == NodeAvailability.Ready
                    && n.Architecture == request.Architecture
                    && n.Taints.All(t => t.IsSoft || request.Tolerations.Any(r => r.Bears(t)))
                    && request.Constraints.All(c => c.IsMetBy(n.Values(c.Key)))).Take(most).Select(n => n.Name),
            ];
        }
    }

    /// <summary>The first of the constraints that a node does not meet; null where it meets all.</summary>
    public NodeConstraint? FirstUnmet(string node, IReadOnlyList<NodeConstraint> constraints)
    {
        lock (gate)
        {
            return snapshots.TryGetValue(node, out NodeSnapshot? known)
                ? constraints.FirstOrDefault(c => !c.IsMetBy(known.Values(c.Key)))
                : null;
        }
    }

    /// <summary>Places a request; what it evicts keeps the rest of its room until it has ended.</summary>
    private PlacementPlan Take(PlacementRequest request)
    {
        PlacementPlan plan = index.Place(request);
        if (plan.Evicted.Count > 0)
        {
            departures.Begin(plan);
            clearing[request.Id] = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return plan;
    }

    private void Withdraw(PlacementPlan plan) => Drop(plan.Node!, plan.Request.Id);

    /// <summary>What is being ended for it is counted again until it has ended. Returns whether there is more room.
    /// </summary>
    private bool Drop(string node, string id)
    {
        bool isFree = index.Release(node, id);
        isFree |= departures.Cancel(id);
        Clear(id);
        int leaving = departures.Count;
        if (departures.End(id) is { } cleared)
        {
            Clear(cleared.Request.Id);
        }

        return isFree || departures.Count < leaving;
    }

    private void Clear(string id)
    {
        if (clearing.Remove(id, out TaskCompletionSource? turn))
        {
            turn.TrySetResult();
        }
    }

    private static bool Tell(Action come)
    {
        // Not under the lock, and not on the thread of whatever ended.
        ThreadPool.UnsafeQueueUserWorkItem(static state => state(), come, preferLocal: false);
        return false;
    }

    private static BerthException Refusal(PlacementPlan plan, bool lacksRoomAlone) => new(
        ErrorCode.NoNode, plan.Explain() + " 'berth node ls' shows the nodes.")
    {
        RetryAfter = lacksRoomAlone ? Soon : Later,
    };

    private IReadOnlyDictionary<string, int> ReadyOn(NodeEntry node) => node.IsOwn
        ? isOwnAlone
            ? FrozenDictionary<string, int>.Empty
            : own.Status().Sandboxes.Where(s => s.State == "ready")
                .GroupBy(s => s.Image.Text, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count())
        : node.Heartbeat?.Ready ?? FrozenDictionary<string, int>.Empty;

    private void Put(NodeEntry node, IReadOnlyDictionary<string, int> ready)
    {
        if (node.IsOwn)
        {
            ownEntry = node;
            node.Places = ownPlaces;
        }

        Put(NodeSnapshots.Of(
            node, snapshots.GetValueOrDefault(node.Name), node.IsOwn ? ownImages : node.Heartbeat?.Images ?? [],
            ready, VolumesOn(node.Name)));
    }

    private void Put(NodeSnapshot node)
    {
        snapshots[node.Name] = node;
        index.Update(node);
        LookAround();
    }

    private void LookAround() =>
        isOwnAlone = snapshots.Count == 1 && snapshots.TryGetValue(ownName, out NodeSnapshot? only)
            && only is { State: NodeAvailability.Ready, Taints.Count: 0 };

    /// <summary>The server's own node need not fetch any image.</summary>
    private void Know(string? image)
    {
        if (image is null || ownEntry is null || !ownImages.Add(image))
        {
            return;
        }

        if (ownImages.Count > MostOwnImages)
        {
            ownImages.Clear();
            ownImages.Add(image);
        }

        Put(ownEntry, index.Find(ownEntry.Name)?.Prepared ?? FrozenDictionary<string, int>.Empty);
    }

    /// <summary>Whether time may help: some node would take it if it had room, and has as much when it is
    /// empty.</summary>
    private bool LacksRoomAlone(PlacementPlan plan)
    {
        PlacementRequest asked = plan.Request;
        return plan.Refusals.Any(
                r => r.Filter is PlacementFilter.Places or PlacementFilter.Cpu or PlacementFilter.Memory)
            && snapshots.Values.Any(n => n.State == NodeAvailability.Ready
                && n.Capacity.Millicores >= asked.Resources.Millicores && n.Capacity.Memory >= asked.Resources.Memory
                && asked.Volumes.All(n.Volumes.Contains)
                && asked.Constraints.All(c => c.IsMetBy(n.Values(c.Key))));
    }

    private sealed class Leaving(NodeIndex index, PlacementLine.Waiter? waiter) : IDisposable
    {
        public void Dispose()
        {
            if (waiter is not null)
            {
                lock (index.gate)
                {
                    index.line.Remove(waiter);
                }
            }
        }
    }
}
