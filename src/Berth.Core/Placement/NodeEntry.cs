
namespace Berth.Core.Placement;

/// <summary>One node in the index: what it reported, and what it was chosen for since.</summary>
internal sealed class NodeEntry(int slot, NodeSnapshot node)
{
    public int Slot { get; } = slot;

    public NodeSnapshot Node { get; set; } = node;

    /// <summary>By id.</summary>
    public Dictionary<string, HeldRun> Runs { get; } = new(StringComparer.Ordinal);

    public HashSet<string> BusyGpus { get; } = new(StringComparer.Ordinal);

    /// <summary>Sandboxes that stand ready, less those given away since the last report.</summary>
    public Dictionary<string, int> Prepared { get; } = new(StringComparer.Ordinal);

    // Never below 0 but where a node's capacity shrank.
    public long FreeMillicores { get; set; }

    public long FreeMemory { get; set; }

    public long FreeDisk { get; set; }

    /// <summary>Bytes and millicores of runs that may be ended for others, so that most nodes need no closer look.
    /// </summary>
    public long BatchMillicores { get; set; }

    public long BatchMemory { get; set; }

    /// <summary>Places of the node that its runs take.</summary>
    public int TakenPlaces { get; private set; }

    public bool IsReady => Node.State == NodeAvailability.Ready;

    public bool HasPlace => Node.Places is not { } places || TakenPlaces < places;

    /// <summary>How full it is, 0 to 100: the fuller of processor and memory.</summary>
    public int Fullness
    {
        get
        {
            long cpu = Share(Node.Capacity.Millicores, FreeMillicores);
            long memory = Share(Node.Capacity.Memory.Bytes, FreeMemory);
            return (int)Math.Max(cpu, memory);
        }
    }

    private static long Share(long capacity, long free) =>
        capacity <= 0 ? 100 : Math.Clamp((long)((capacity - free) * 100.0 / capacity), 0, 100);

    public void Charge(PlacedRun run, int sign)
    {
        TakenPlaces += run.TakesPlace ? sign : 0;
        FreeMillicores -= sign * run.Resources.Millicores;
        FreeMemory -= sign * run.Resources.Memory.Bytes;
        FreeDisk -= sign * run.Resources.Disk.Bytes;
        if (run.IsBatch)
        {
            BatchMillicores += sign * run.Resources.Millicores;
            BatchMemory += sign * run.Resources.Memory.Bytes;
        }

        foreach (string gpu in run.Gpus)
        {
            _ = sign > 0 ? BusyGpus.Add(gpu) : BusyGpus.Remove(gpu);
        }
    }
}

/// <param name="IsReported">Whether the node has told of it: once it no longer does, it has ended.</param>
internal readonly record struct HeldRun(PlacedRun Run, bool IsReported);
