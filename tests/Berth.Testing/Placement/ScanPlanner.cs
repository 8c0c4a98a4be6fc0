using Berth.Core.Placement;

namespace Berth.Testing.Placement;

/// <summary>What the planner decides, said plainly: every node is asked every question. It keeps nothing from one
/// request to the next. It is what the index is compared with. Preemption is not its business.</summary>
public sealed class ScanPlanner(IReadOnlyList<NodeSnapshot?> nodes, ulong seed)
{
    private static readonly string[] Words = [];

    private readonly Dictionary<(string Group, string Topology), Dictionary<string, int>> counted = [];

    /// <param name="Totals">Points of the best and the next, where there are any.</param>
    /// <param name="Refused">By filter.</param>
    public sealed record Answer(
        string? Node, string? Next, IReadOnlyList<int> Totals, int Fitting,
        IReadOnlyDictionary<PlacementFilter, int> Refused);

    public Answer Plan(PlacementRequest request)
    {
        counted.Clear();
        Dictionary<PlacementFilter, int> refused = [];
        List<NodeSnapshot> eligible = [];
        foreach (NodeSnapshot? node in nodes)
        {
            if (node is null)
            {
                continue;
            }

            if (Refusal(node, request) is { } filter)
            {
                refused[filter] = refused.GetValueOrDefault(filter) + 1;
            }
            else
            {
                eligible.Add(node);
            }
        }

        int least = request.Spread is null ? 0 : Least(eligible, request);
        List<NodeSnapshot> fitting = [];
        foreach (NodeSnapshot node in eligible)
        {
            if ((SkewRefusal(node, request, least) ?? RoomRefusal(node, request)) is { } filter)
            {
                refused[filter] = refused.GetValueOrDefault(filter) + 1;
            }
            else
            {
                fitting.Add(node);
            }
        }

        return Choose(request, fitting, least, refused);
    }

    private Answer Choose(
        PlacementRequest request, List<NodeSnapshot> fitting, int least, Dictionary<PlacementFilter, int> refused)
    {
        int first = fitting.Count == 0 ? 0 : PlacementTurns.First(seed, request.Id, nodes.Count);
        Dictionary<string, int> turns = nodes.Select((node, slot) => (node, slot)).Where(e => e.node is not null)
            .ToDictionary(e => e.node!.Name, e => (e.slot - first + nodes.Count) % nodes.Count);
        (NodeSnapshot Node, int Points)[] ranked =
        [
            .. fitting.Select(node => (node, Points(node, request, least)))
                .OrderByDescending(entry => entry.Item2).ThenBy(entry => turns[entry.node.Name]).Take(2),
        ];
        return new Answer(
            ranked.FirstOrDefault().Node?.Name, ranked.Skip(1).FirstOrDefault().Node?.Name,
            [.. ranked.Select(entry => entry.Points)], fitting.Count, refused);
    }

    private PlacementFilter? Refusal(NodeSnapshot node, PlacementRequest request)
    {
        PlacementFilter? state = node.State switch
        {
            NodeAvailability.Lost => PlacementFilter.Lost,
            NodeAvailability.Suspect => PlacementFilter.Suspect,
            NodeAvailability.Cordoned => PlacementFilter.Cordoned,
            NodeAvailability.Draining => PlacementFilter.Draining,
            _ => null,
        };
        if (state is not null)
        {
            return state;
        }

        if (node.Taints.Any(taint => !taint.IsSoft && !request.Tolerations.Any(t => t.Bears(taint))))
        {
            return PlacementFilter.Taint;
        }

        if (request.Architecture is { } architecture && architecture != node.Architecture)
        {
            return PlacementFilter.Architecture;
        }

        if (!request.Features.All(node.Features.Contains))
        {
            return PlacementFilter.Feature;
        }

        if (!request.Constraints.Where(c => request.Gpus is null || c.Key != NodeAttributes.GpuModel)
            .All(c => c.IsMetBy(Values(node, c.Key))))
        {
            return PlacementFilter.Constraint;
        }

        if (!request.Volumes.All(node.Volumes.Contains))
        {
            return PlacementFilter.Volume;
        }

        if (request.Network is { } network && !node.Networks.Contains(network))
        {
            return PlacementFilter.Network;
        }

        if (request.RefusedBy.Contains(node.Name))
        {
            return PlacementFilter.Refused;
        }

        return request.Affinities.Where(rule => rule.Weight is null).All(rule => Keeps(node, request, rule))
            ? null
            : PlacementFilter.Affinity;
    }

    private bool Keeps(NodeSnapshot node, PlacementRequest request, AffinityRule rule) => rule.IsAnti
        ? !IsNear(node, rule)
        : IsNear(node, rule) || (rule.Group == request.Group && By(rule.Group, null).Count == 0);

    private static PlacementFilter? RoomRefusal(NodeSnapshot node, PlacementRequest request)
    {
        if (request.TakesPlace && node.Runs.Count(run => run.TakesPlace) >= (node.Places ?? int.MaxValue))
        {
            return PlacementFilter.Places;
        }

        NodeResources asked = request.Resources;
        long cpu = node.Capacity.Millicores - node.Runs.Sum(run => run.Resources.Millicores);
        long memory = node.Capacity.Memory.Bytes - node.Runs.Sum(run => run.Resources.Memory.Bytes);
        long disk = node.Capacity.Disk.Bytes - node.Runs.Sum(run => run.Resources.Disk.Bytes);
        return asked.Millicores > 0 && cpu < asked.Millicores ? PlacementFilter.Cpu
            : asked.Memory.Bytes > 0 && memory < asked.Memory.Bytes ? PlacementFilter.Memory
            : asked.Disk.Bytes > 0 && disk < asked.Disk.Bytes ? PlacementFilter.Disk
            : request.Gpus is { } gpus && FreeGpus(node, request) < gpus.Count ? PlacementFilter.Gpu
            : null;
    }

    private static int FreeGpus(NodeSnapshot node, PlacementRequest request) => node.Gpus.Count(gpu =>
        gpu.Memory >= request.Gpus!.Memory && !node.Runs.Any(run => run.Gpus.Contains(gpu.Id))
        && request.Constraints.Where(c => c.Key == NodeAttributes.GpuModel).All(c => c.IsMetBy([gpu.Model])));

    private PlacementFilter? SkewRefusal(NodeSnapshot node, PlacementRequest request, int least) =>
        request.Spread is { MaxSkew: { } most } spread
        && (Held(node, request, spread) is not { } held || held + 1 - least > most)
            ? PlacementFilter.Spread
            : null;

    private int Least(List<NodeSnapshot> eligible, PlacementRequest request) => eligible
        .Select(node => Held(node, request, request.Spread!)).Where(held => held is not null)
        .Min() ?? 0;

    private int? Held(NodeSnapshot node, PlacementRequest request, SpreadRule spread)
    {
        if (spread.Topology is not { } topology)
        {
            return node.Runs.Count(run => request.Group is not null && run.Group == request.Group);
        }

        return node.Labels.TryGetValue(topology, out string? value)
            ? By(request.Group, topology).GetValueOrDefault(value)
            : null;
    }

    private int Points(NodeSnapshot node, PlacementRequest request, int least)
    {
        int points = 0;
        points += request.Revision is { } revision && node.Prepared.GetValueOrDefault(revision) > 0
            ? PlacementScores.Prepared : 0;
        points += request.Image is { } image && node.Images.Contains(image) ? PlacementScores.Image : 0;
        points += node.Taints.Any(taint => taint.IsSoft && !request.Tolerations.Any(t => t.Bears(taint)))
            ? PlacementScores.SoftTaint : 0;
        points += request.Affinities.Where(rule => rule.Weight is not null && IsNear(node, rule))
            .Sum(rule => rule.IsAnti ? -rule.Weight!.Value : rule.Weight!.Value);
        if (request.Spread is { } spread && Held(node, request, spread) is { } held)
        {
            points += PlacementScores.Even - (PlacementScores.Even / 10 * Math.Min(held - least, 10));
        }

        long cpu = Full(node.Capacity.Millicores, node.Runs.Sum(run => run.Resources.Millicores));
        long memory = Full(node.Capacity.Memory.Bytes, node.Runs.Sum(run => run.Resources.Memory.Bytes));
        int full = (int)Math.Max(cpu, memory);
        points += request.Strategy == PlacementStrategy.Pack ? full : 100 - full;
        return points + (int)(PlacementScores.Load * Math.Clamp(node.Load, 0, 1));
    }

    private static long Full(long capacity, long used) =>
        capacity <= 0 ? 100 : Math.Clamp((long)(used * 100.0 / capacity), 0, 100);

    private bool IsNear(NodeSnapshot node, AffinityRule rule) => rule.Topology is { } topology
        ? node.Labels.TryGetValue(topology, out string? value)
            && By(rule.Group, topology).ContainsKey(value)
        : node.Runs.Any(run => run.Group == rule.Group);

    /// <summary>Runs of a group by the values of a label; all of them under no value where none is named. Counted once
    /// for a request.</summary>
    private Dictionary<string, int> By(string? of, string? topology)
    {
        if (counted.TryGetValue((of ?? "", topology ?? ""), out Dictionary<string, int>? counts))
        {
            return counts;
        }

        counts = [];
        foreach (NodeSnapshot? node in nodes)
        {
            string? value = "";
            if (node is null || of is null || (topology is not null && !node.Labels.TryGetValue(topology, out value)))
            {
                continue;
            }

            int held = node.Runs.Count(run => run.Group == of);
            if (held > 0)
            {
                counts[value] = counts.GetValueOrDefault(value) + held;
            }
        }

        counted.Add((of ?? "", topology ?? ""), counts);
        return counts;
    }

    private static readonly string HostFolderKey = NodeConstraint.OfHostFolder("/").Key;

    private static IReadOnlyCollection<string> Values(NodeSnapshot node, string key) => key switch
    {
        NodeAttributes.Node => [node.Name],
        NodeAttributes.Architecture => [node.Architecture],
        NodeAttributes.Feature => node.Features,
        NodeAttributes.GpuModel => [.. node.Gpus.Select(gpu => gpu.Model).Distinct()],
        _ when key == HostFolderKey => node.HostFolders,
        _ => node.Labels.TryGetValue(key, out string? value) ? [value] : Words,
    };
}
