
namespace Berth.Core.Placement;

/// <summary>
/// The nodes as the planner sees them, with what was placed on them since they last reported. Nothing here scans all
/// nodes for a placement: which nodes have what is kept as they change. Pure: the same nodes, in the same order, the
/// same requests and the same seed give the same plans. Not thread-safe: one owner.
/// </summary>
/// <param name="seed">Among equals the choice begins elsewhere for each request and each seed, so that several planners
/// do not all turn to one node.</param>
public sealed class PlacementIndex(ulong seed)
{
    private const int MostAmounts = 24;

    private readonly Dictionary<string, NodeEntry> byName = new(StringComparer.Ordinal);
    private readonly List<NodeEntry?> slots = [];
    private readonly Stack<int> freeSlots = [];
    private readonly Dictionary<string, GroupIndex> groups = new(StringComparer.Ordinal);
    private readonly SortedList<string, (Taint Taint, NodeSet Nodes)> taints = new(StringComparer.Ordinal);
    private readonly ScoreLevels packed = new(PlacementStrategy.Pack);
    private readonly ScoreLevels spread = new(PlacementStrategy.Spread);
    private readonly SortedDictionary<int, int> batchByPriority = [];
    private PlacementSearch? search;
    private ImageSpread? images;

    /// <summary>How many nodes there are, in whatever state.</summary>
    public int Count => byName.Count;

    public TenantShares Shares { get; } = new();

    internal ulong Seed { get; } = seed;

    internal IReadOnlyList<NodeEntry?> Slots => slots;

    internal NodeSet All { get; } = new();

    /// <summary>By <see cref="NodeAvailability"/>.</summary>
    internal NodeSet[] States { get; } =
        [.. Enum.GetValues<NodeAvailability>().Select(_ => new NodeSet())];

    internal AttributeIndex Attributes { get; } = new();

    /// <summary>By their texts, so that what is told does not depend on who came first.</summary>
    internal SortedList<string, (Taint Taint, NodeSet Nodes)> Taints => taints;

    internal NodeSet WithPlace { get; } = new();

    internal DemandIndex<long> Cpu { get; } = new(MostAmounts, (node, amount) => node.FreeMillicores >= amount);

    internal DemandIndex<long> Memory { get; } = new(MostAmounts, (node, amount) => node.FreeMemory >= amount);

    internal DemandIndex<long> Disk { get; } = new(MostAmounts, (node, amount) => node.FreeDisk >= amount);

    internal DemandIndex<GpuKey> Gpus { get; } = new(MostAmounts, (node, key) => key.Query.Fits(node));

    private PlacementSearch Search => search ??= new PlacementSearch(this);

    /// <summary>Takes a node in, or what is new of it. What it was chosen for and has not reported yet stays counted;
    /// what it reported once and no longer does has ended.</summary>
    public void Update(NodeSnapshot node)
    {
        if (!byName.TryGetValue(node.Name, out NodeEntry? entry))
        {
            int slot = freeSlots.TryPop(out int free) ? free : slots.Count;
            entry = new NodeEntry(slot, node);
            if (slot == slots.Count)
            {
                slots.Add(null);
            }

            slots[slot] = entry;
            byName.Add(node.Name, entry);
            All.Add(slot);
            NodeAttributeChanges.Apply(Attributes, slot, null, node);
            Admit(entry, isNew: true);
            Shares.Count(null, node);
        }
        else
        {
            Replace(entry, node);
        }

        Report(entry);
        Refresh(entry);
    }

    /// <summary>Forgets a node and all that was placed on it. Returns whether there was one.</summary>
    public bool Remove(string name)
    {
        if (!byName.Remove(name, out NodeEntry? entry))
        {
            return false;
        }

        foreach (HeldRun held in entry.Runs.Values.ToArray())
        {
            Take(entry, held.Run);
        }

        Dismiss(entry);
        Shares.Count(entry.Node, null);
        NodeAttributeChanges.Apply(Attributes, entry.Slot, entry.Node, null);
        foreach (string revision in entry.Prepared.Keys)
        {
            Attributes.Remove(entry.Slot, AttributeIndex.Revision, revision);
        }

        All.Remove(entry.Slot);
        WithPlace.Remove(entry.Slot);
        packed.Remove(entry.Slot);
        spread.Remove(entry.Slot);
        Cpu.Remove(entry.Slot);
        Memory.Remove(entry.Slot);
        Disk.Remove(entry.Slot);
        Gpus.Remove(entry.Slot);
        slots[entry.Slot] = null;
        freeSlots.Push(entry.Slot);
        return true;
    }

    /// <summary>The node as it is with all that was placed on it; null where there is none.</summary>
    public NodeSnapshot? Find(string name) => byName.TryGetValue(name, out NodeEntry? entry) ? Tell(entry) : null;

    /// <summary>All of them as they are, in the order of their turns; null where one has left.</summary>
    public IReadOnlyList<NodeSnapshot?> Snapshot() =>
        [.. slots.Select(entry => entry is null ? null : Tell(entry))];

    /// <summary>How many runs there are on a node, told of and placed; 0 where there is no such node.</summary>
    public int CountOn(string name) => byName.TryGetValue(name, out NodeEntry? entry) ? entry.Runs.Count : 0;

    /// <summary>What would be decided now; nothing changes.</summary>
    public PlacementPlan Plan(PlacementRequest request) => Search.Plan(request);

    /// <summary>Decides, and counts the request as placed at once: of many requests in one tick each sees what those
    /// before it took. What is to be evicted is no longer counted.</summary>
    public PlacementPlan Place(PlacementRequest request)
    {
        PlacementPlan plan = Search.Plan(request);
        if (plan.Node is not null)
        {
            Apply(plan);
        }

        return plan;
    }

    /// <summary>Nodes that are to fetch a request's image for what may follow it, the ones first that would have the
    /// next run.</summary>
    public IReadOnlyList<string> ToFetch(PlacementRequest request, int most) =>
        (images ??= new ImageSpread(this)).Find(request, most);

    /// <summary>Makes a plan true that was made of the nodes as they still are.</summary>
    public void Apply(PlacementPlan plan)
    {
        NodeEntry entry = byName[plan.Node!];
        foreach (PlacedRun evicted in plan.Evicted)
        {
            Take(entry, evicted);
        }

        Put(entry, PlacedRun.Of(plan.Request, plan.Gpus), isReported: false);
        if (plan.Request.Revision is { } revision && entry.Prepared.TryGetValue(revision, out int left))
        {
            SetPrepared(entry, revision, left - 1);
        }

        Refresh(entry);
    }

    /// <summary>Takes back a placement that did not come about. Nothing happens where the node has told of it: then
    /// somebody's came about, and it ends when the node no longer tells of it.</summary>
    public void Cancel(PlacementPlan plan)
    {
        if (plan.Node is { } name && byName.TryGetValue(name, out NodeEntry? entry)
            && entry.Runs.TryGetValue(plan.Request.Id, out HeldRun held) && !held.IsReported)
        {
            Take(entry, held.Run);
            Refresh(entry);
        }
    }

    /// <summary>Counts what is on a node all the same, whether there is room or not. Nothing happens where there is no
    /// such node, or where it is counted already.</summary>
    internal void Add(string node, PlacedRun run)
    {
        if (byName.TryGetValue(node, out NodeEntry? entry))
        {
            Put(entry, run, isReported: false);
            Refresh(entry);
        }
    }

    internal NodeEntry? Entry(string node) => byName.GetValueOrDefault(node);

    /// <summary>Gives back what a run holds on a node. Nothing happens, and false is returned, where it holds nothing.
    /// </summary>
    public bool Release(string node, string id)
    {
        if (!byName.TryGetValue(node, out NodeEntry? entry) || !entry.Runs.TryGetValue(id, out HeldRun held))
        {
            return false;
        }

        Take(entry, held.Run);
        Refresh(entry);
        return true;
    }

    /// <summary>Whether anything runs that might be ended for work of this priority.</summary>
    internal bool HasBatchBelow(int priority)
    {
        // The first of a sorted dictionary costs its depth; the keys are the few priorities in use.
        foreach ((int lowest, _) in batchByPriority)
        {
            return lowest < priority;
        }

        return false;
    }

    internal GroupIndex? Group(string name) => groups.GetValueOrDefault(name);

    internal ScoreLevels Levels(PlacementStrategy strategy) =>
        strategy == PlacementStrategy.Pack ? packed : spread;

    private static NodeSnapshot Tell(NodeEntry entry) => entry.Node with
    {
        Runs = [.. entry.Runs.Values.Select(held => held.Run)],
        Prepared = new Dictionary<string, int>(entry.Prepared),
    };

    private void Replace(NodeEntry entry, NodeSnapshot node)
    {
        // Runs are counted by their node's labels: they leave with the old ones and come back with the new.
        bool moved = !NodeAttributeChanges.SameLabels(entry.Node, node);
        PlacedRun[] runs = moved ? [.. entry.Runs.Values.Select(held => held.Run)] : [];
        foreach (PlacedRun run in runs)
        {
            ChangeGroup(entry, run, -1);
        }

        NodeSnapshot before = entry.Node;
        Dismiss(entry);
        NodeAttributeChanges.Apply(Attributes, entry.Slot, before, node);
        entry.FreeMillicores -= before.Capacity.Millicores;
        entry.FreeMemory -= before.Capacity.Memory.Bytes;
        entry.FreeDisk -= before.Capacity.Disk.Bytes;
        entry.Node = node;
        Admit(entry, isNew: false);
        Shares.Count(before, node);
        foreach (PlacedRun run in runs)
        {
            ChangeGroup(entry, run, +1);
        }
    }

    private void Admit(NodeEntry entry, bool isNew)
    {
        NodeSnapshot node = entry.Node;
        entry.FreeMillicores += node.Capacity.Millicores;
        entry.FreeMemory += node.Capacity.Memory.Bytes;
        entry.FreeDisk += node.Capacity.Disk.Bytes;
        States[(int)node.State].Add(entry.Slot);
        foreach (Taint taint in node.Taints)
        {
            taints.TryAdd(taint.Text, (taint, new NodeSet()));
            taints[taint.Text].Nodes.Add(entry.Slot);
        }

        if (isNew)
        {
            packed.Change(entry, isNew: true);
            spread.Change(entry, isNew: true);
        }
    }

    private void Dismiss(NodeEntry entry)
    {
        NodeSnapshot node = entry.Node;
        States[(int)node.State].Remove(entry.Slot);
        foreach (Taint taint in node.Taints)
        {
            if (taints.TryGetValue(taint.Text, out (Taint Taint, NodeSet Nodes) marked))
            {
                marked.Nodes.Remove(entry.Slot);
                if (marked.Nodes.Count == 0)
                {
                    taints.Remove(taint.Text);
                }
            }
        }
    }

    private void Report(NodeEntry entry)
    {
        HashSet<string> told = new(entry.Node.Runs.Count, StringComparer.Ordinal);
        foreach (PlacedRun run in entry.Node.Runs)
        {
            told.Add(run.Id);
            if (entry.Runs.TryGetValue(run.Id, out HeldRun held))
            {
                // What was placed is what it may use, whatever the node says of it.
                entry.Runs[run.Id] = held with { IsReported = true };
            }
            else
            {
                Put(entry, run, isReported: true);
            }
        }

        if (entry.Runs.Count > told.Count)
        {
            foreach (HeldRun held in entry.Runs.Values.Where(h => h.IsReported && !told.Contains(h.Run.Id)).ToArray())
            {
                Take(entry, held.Run);
            }
        }

        foreach (string gone in entry.Prepared.Keys.Where(r => !entry.Node.Prepared.ContainsKey(r)).ToArray())
        {
            SetPrepared(entry, gone, 0);
        }

        foreach ((string revision, int count) in entry.Node.Prepared)
        {
            SetPrepared(entry, revision, count);
        }
    }

    private void SetPrepared(NodeEntry entry, string revision, int count)
    {
        if (count > 0)
        {
            entry.Prepared[revision] = count;
            Attributes.Add(entry.Slot, AttributeIndex.Revision, revision);
        }
        else if (entry.Prepared.Remove(revision))
        {
            Attributes.Remove(entry.Slot, AttributeIndex.Revision, revision);
        }
    }

    private void Put(NodeEntry entry, PlacedRun run, bool isReported)
    {
        // Another planner may have placed it on the same node already: it is counted once.
        if (!entry.Runs.TryAdd(run.Id, new HeldRun(run, isReported)))
        {
            return;
        }

        Charge(entry, run, +1);
        ChangeGroup(entry, run, +1);
    }

    private void Take(NodeEntry entry, PlacedRun run)
    {
        entry.Runs.Remove(run.Id);
        Charge(entry, run, -1);
        ChangeGroup(entry, run, -1);
    }

    private void Charge(NodeEntry entry, PlacedRun run, int sign)
    {
        entry.Charge(run, sign);
        Shares.Charge(run, sign);
        if (!run.IsBatch)
        {
            return;
        }

        int count = batchByPriority.GetValueOrDefault(run.Priority) + sign;
        if (count == 0)
        {
            batchByPriority.Remove(run.Priority);
        }
        else
        {
            batchByPriority[run.Priority] = count;
        }
    }

    private void ChangeGroup(NodeEntry entry, PlacedRun run, int by)
    {
        if (run.Group is null)
        {
            return;
        }

        if (!groups.TryGetValue(run.Group, out GroupIndex? group))
        {
            groups.Add(run.Group, group = new GroupIndex());
        }

        group.Change(entry, by);
        if (group.IsEmpty)
        {
            groups.Remove(run.Group);
        }
    }

    private void Refresh(NodeEntry entry)
    {
        packed.Change(entry, isNew: false);
        spread.Change(entry, isNew: false);
        Cpu.Change(entry);
        Memory.Change(entry);
        Disk.Change(entry);
        Gpus.Change(entry);
        if (entry.HasPlace)
        {
            WithPlace.Add(entry.Slot);
        }
        else
        {
            WithPlace.Remove(entry.Slot);
        }
    }
}
