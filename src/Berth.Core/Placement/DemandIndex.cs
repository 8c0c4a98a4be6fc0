namespace Berth.Core.Placement;

/// <summary>
/// Which nodes have so much left, for amounts that were asked for lately: workloads come in few sizes. A new amount
/// costs one look at every node, and after that each change of a node one comparison; the amount not asked for longest
/// makes room.
/// </summary>
/// <param name="fits">Whether a node has room for it.</param>
internal sealed class DemandIndex<T>(int most, Func<NodeEntry, T, bool> fits)
    where T : IEquatable<T>
{
    private readonly Dictionary<T, Entry> byAmount = [];
    private readonly List<Entry> entries = [];
    private long asked;

    public NodeSet Find(T amount, IEnumerable<NodeEntry?> nodes)
    {
        asked++;
        if (byAmount.TryGetValue(amount, out Entry? entry))
        {
            entry.Asked = asked;
            return entry.Nodes;
        }

        if (entries.Count == most)
        {
            Entry oldest = entries.MinBy(e => e.Asked)!;
            entries.Remove(oldest);
            byAmount.Remove(oldest.Amount);
        }

        entry = new Entry(amount) { Asked = asked };
        foreach (NodeEntry? node in nodes)
        {
            if (node is not null && fits(node, amount))
            {
                entry.Nodes.Add(node.Slot);
            }
        }

        byAmount.Add(amount, entry);
        entries.Add(entry);
        return entry.Nodes;
    }

    public void Change(NodeEntry node)
    {
        foreach (Entry entry in entries)
        {
            if (fits(node, entry.Amount))
            {
                entry.Nodes.Add(node.Slot);
            }
            else
            {
                entry.Nodes.Remove(node.Slot);
            }
        }
    }

    public void Remove(int slot)
    {
        foreach (Entry entry in entries)
        {
            entry.Nodes.Remove(slot);
        }
    }

    private sealed class Entry(T amount)
    {
        public T Amount { get; } = amount;

        public NodeSet Nodes { get; } = new();

        public long Asked { get; set; }
    }
}

/// <summary>GPUs as they are looked for.</summary>
/// <param name="Models">Texts of the constraints on each device, joined: what the key is equal by.</param>
internal readonly record struct GpuKey(int Count, long Memory, string Models, GpuQuery Query)
{
    public bool Equals(GpuKey other) =>
        Count == other.Count && Memory == other.Memory && string.Equals(Models, other.Models, StringComparison.Ordinal);

    public override int GetHashCode() => HashCode.Combine(Count, Memory, Models);

    public static GpuKey Of(PlacementRequest request)
    {
        GpuQuery query = GpuQuery.Of(request);
        return new(
            query.Demand.Count, query.Demand.Memory.Bytes, string.Join(' ', query.Models.Select(m => m.Text)), query);
    }
}

/// <summary>What each of the devices asked for must be.</summary>
internal sealed record GpuQuery(GpuDemand Demand, IReadOnlyList<NodeConstraint> Models)
{
    public static GpuQuery Of(PlacementRequest request) => new(
        request.Gpus!, [.. request.Constraints.Where(c => c.Key == NodeAttributes.GpuModel)]);

    public bool Fits(NodeEntry node) => Fits(node, freed: null);

    /// <param name="freed">Devices to be taken for free.</param>
    public bool Fits(NodeEntry node, IReadOnlySet<string>? freed)
    {
        int found = 0;
        foreach (GpuDevice gpu in node.Node.Gpus)
        {
            found += IsFree(node, gpu, freed) && Matches(gpu) ? 1 : 0;
        }

        return found >= Demand.Count;
    }

    /// <summary>The smallest that will do.</summary>
    public IReadOnlyList<string> Choose(NodeEntry node, IReadOnlySet<string>? freed) =>
    [
        .. node.Node.Gpus.Where(gpu => IsFree(node, gpu, freed) && Matches(gpu))
            .OrderBy(gpu => gpu.Memory.Bytes).ThenBy(gpu => gpu.Id, StringComparer.Ordinal)
            .Take(Demand.Count).Select(gpu => gpu.Id),
    ];

    private bool Matches(GpuDevice gpu) =>
        gpu.Memory >= Demand.Memory && Models.All(constraint => constraint.IsMetBy([gpu.Model]));

    private static bool IsFree(NodeEntry node, GpuDevice gpu, IReadOnlySet<string>? freed) =>
        !node.BusyGpus.Contains(gpu.Id) || freed?.Contains(gpu.Id) == true;
}
