namespace Berth.Core.Placement;

/// <summary>Where the runs of one group are: by node, and by the values of labels that rules ask for.</summary>
internal sealed class GroupIndex
{
    private readonly Dictionary<int, int> bySlot = [];
    private readonly Dictionary<string, Dictionary<string, int>> byTopology = new(StringComparer.Ordinal);

    public bool IsEmpty => bySlot.Count == 0;

    /// <summary>Nodes with any.</summary>
    public NodeSet Holders { get; } = new();

    /// <summary>Nodes with exactly so many, from 1 on; only numbers that there are.</summary>
    public SortedList<int, NodeSet> ByCount { get; } = [];

    public int On(int slot) => bySlot.GetValueOrDefault(slot);

    /// <summary>How many there are by the label's value; those on nodes without it are not told.</summary>
    public IReadOnlyDictionary<string, int> By(string topology, IReadOnlyList<NodeEntry?> nodes)
    {
        if (!byTopology.TryGetValue(topology, out Dictionary<string, int>? counts))
        {
            counts = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach ((int slot, int count) in bySlot)
            {
                Count(counts, nodes[slot]!.Node, topology, count);
            }

            byTopology.Add(topology, counts);
        }

        return counts;
    }

    public void Change(NodeEntry entry, int by)
    {
        int before = On(entry.Slot);
        int after = before + by;
        Leave(before, entry.Slot);
        if (after == 0)
        {
            bySlot.Remove(entry.Slot);
            Holders.Remove(entry.Slot);
        }
        else
        {
            bySlot[entry.Slot] = after;
            Holders.Add(entry.Slot);
            Join(after, entry.Slot);
        }

        foreach ((string topology, Dictionary<string, int> counts) in byTopology)
        {
            Count(counts, entry.Node, topology, by);
        }
    }

    private void Join(int count, int slot)
    {
        if (!ByCount.TryGetValue(count, out NodeSet? nodes))
        {
            ByCount.Add(count, nodes = new NodeSet());
        }

        nodes.Add(slot);
    }

    private void Leave(int count, int slot)
    {
        if (!ByCount.TryGetValue(count, out NodeSet? nodes))
        {
            return;
        }

        nodes.Remove(slot);
        if (nodes.Count == 0)
        {
            ByCount.Remove(count);
        }
    }

    private static void Count(Dictionary<string, int> counts, NodeSnapshot node, string topology, int by)
    {
        if (!node.Labels.TryGetValue(topology, out string? value))
        {
            return;
        }

        int count = counts.GetValueOrDefault(value) + by;
        if (count == 0)
        {
            counts.Remove(value);
        }
        else
        {
            counts[value] = count;
        }
    }
}
