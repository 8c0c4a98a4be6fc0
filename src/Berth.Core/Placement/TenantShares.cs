using System.Runtime.InteropServices;

namespace Berth.Core.Placement;

/// <summary>
/// What each tenant holds of the whole. A tenant's dominant share is the largest of its parts of all processors, all
/// memory and all GPUs, divided by its weight: who has the smallest goes next (dominant resource fairness, Ghodsi et
/// al., NSDI 2011), so that nobody gains by asking for less of one and more of another.
/// </summary>
public sealed class TenantShares
{
    private readonly Dictionary<string, Holding> holdings = new(StringComparer.Ordinal);
    private readonly Dictionary<string, double> weights = new(StringComparer.Ordinal);
    private long totalMillicores;
    private long totalMemory;
    private long totalGpus;

    /// <summary>Told which tenant's share changed; null for all of them.</summary>
    internal event Action<string?>? Changed;

    /// <summary>Of its dominant resource, 0 to 1 and above where capacity went away.</summary>
    public double Of(string tenant)
    {
        Holding held = holdings.GetValueOrDefault(tenant);
        double share = Math.Max(
            Part(held.Millicores, totalMillicores),
            Math.Max(Part(held.Memory, totalMemory), Part(held.Gpus, totalGpus)));
        return share / weights.GetValueOrDefault(tenant, 1);
    }

    /// <param name="weight">Above 0; 2 is entitled to twice what 1 is.</param>
    public void Weigh(string tenant, double weight)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(weight);
        weights[tenant] = weight;
        Changed?.Invoke(tenant);
    }

    internal void Charge(PlacedRun run, int sign)
    {
        ref Holding held = ref CollectionsMarshal.GetValueRefOrAddDefault(holdings, run.Tenant, out _);
        held = new Holding(
            held.Millicores + (sign * run.Resources.Millicores), held.Memory + (sign * run.Resources.Memory.Bytes),
            held.Gpus + (sign * run.Gpus.Count), held.Runs + sign);
        if (held.Runs == 0)
        {
            holdings.Remove(run.Tenant);
        }

        Changed?.Invoke(run.Tenant);
    }

    /// <summary>A node came, left, or has other capacity than before. Heartbeats that change none cost nothing.
    /// </summary>
    internal void Count(NodeSnapshot? before, NodeSnapshot? after)
    {
        NodeResources was = before?.Capacity ?? default;
        NodeResources now = after?.Capacity ?? default;
        int gpus = (after?.Gpus.Count ?? 0) - (before?.Gpus.Count ?? 0);
        if (was != now || gpus != 0)
        {
            totalMillicores += now.Millicores - was.Millicores;
            totalMemory += now.Memory.Bytes - was.Memory.Bytes;
            totalGpus += gpus;
            Changed?.Invoke(null);
        }
    }

    private static double Part(long held, long total) => held == 0 ? 0 : total <= 0 ? 1 : held / (double)total;

    private readonly record struct Holding(long Millicores, long Memory, long Gpus, int Runs);
}
