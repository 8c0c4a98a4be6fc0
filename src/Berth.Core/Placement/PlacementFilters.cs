
namespace Berth.Core.Placement;

/// <summary>Which nodes may have a request: each filter strikes off a set of nodes that the index keeps, and is told
/// with how many it struck off that were left.</summary>
internal sealed class PlacementFilters(PlacementIndex index)
{
    private static readonly (NodeAvailability State, PlacementFilter Filter)[] Refusing =
    [
        (NodeAvailability.Lost, PlacementFilter.Lost), (NodeAvailability.Suspect, PlacementFilter.Suspect),
        (NodeAvailability.Cordoned, PlacementFilter.Cordoned), (NodeAvailability.Draining, PlacementFilter.Draining),
    ];

    private static readonly Dictionary<string, NodeSet> NoValues = [];

    private readonly List<(AffinityRule Rule, NodeSet Nodes)> near = [];
    private readonly List<NodeSet> nearRooms = [];
    private readonly NodeSet soft = new();
    private ulong[] left = [];
    private ulong[] scratch = [];
    private ulong[] candidates = [];
    private int words;
    private int count;
    private PlacementRequest request = null!;
    private GroupIndex? own;
    private int least;

    /// <summary>Struck off so far; a new list for each request.</summary>
    public List<Refusal> Refusals { get; private set; } = [];

    public ReadOnlySpan<ulong> Left => left.AsSpan(0, words);

    /// <summary>Nodes that only lack room.</summary>
    public ReadOnlySpan<ulong> Candidates => candidates.AsSpan(0, words);

    /// <summary>With a mild taint that the request does not bear; null for none.</summary>
    public NodeSet? SoftlyTainted { get; private set; }

    /// <summary>The parts of the spread's topology, the evenest first: nodes of a set, or all but those of one.
    /// </summary>
    public List<(int Skew, NodeSet? Of, NodeSet? Except)> Evenness { get; } = [];

    /// <returns>How many nodes are left.</returns>
    public int Apply(PlacementRequest asked)
    {
        request = asked;
        Refusals = [];
        Begin();
        KeepReady();
        KeepBorne();
        KeepFit();
        KeepNear();
        KeepEven();
        Left.CopyTo(candidates);
        KeepRoom();
        return count;
    }

    /// <summary>Nodes that have the rule's group near.</summary>
    public NodeSet Near(AffinityRule rule)
    {
        foreach ((AffinityRule known, NodeSet nodes) in near)
        {
            if (ReferenceEquals(known, rule))
            {
                return nodes;
            }
        }

        NodeSet found = FindNear(rule);
        near.Add((rule, found));
        return found;
    }

    /// <summary>Points of a node for the spread.</summary>
    public int EvennessOf(NodeEntry entry)
    {
        if (request.Spread!.Topology is not { } topology)
        {
            return PlacementScores.Evenness((own?.On(entry.Slot) ?? 0) - least);
        }

        return entry.Node.Labels.TryGetValue(topology, out string? value)
            ? PlacementScores.Evenness(CountBy(topology, value) - least)
            : 0;
    }

    private void Begin()
    {
        words = (index.Slots.Count + 63) >> 6;
        if (left.Length < words)
        {
            left = new ulong[words];
            scratch = new ulong[words];
            candidates = new ulong[words];
        }

        near.Clear();
        Evenness.Clear();
        left.AsSpan(0, words).Clear();
        index.All.Unite(left.AsSpan(0, words));
        count = index.Count;
        own = request.Group is { } group ? index.Group(group) : null;
    }

    private void KeepReady()
    {
        if (index.States[(int)NodeAvailability.Ready].Count == count)
        {
            return;
        }

        foreach ((NodeAvailability state, PlacementFilter filter) in Refusing)
        {
            Strike(index.States[(int)state], filter, null);
        }
    }

    private void KeepBorne()
    {
        SoftlyTainted = null;
        Span<ulong> mild = scratch.AsSpan(0, words);
        foreach ((Taint taint, NodeSet nodes) in index.Taints.Values)
        {
            if (request.Tolerations.Any(toleration => toleration.Bears(taint)))
            {
                continue;
            }

            if (!taint.IsSoft)
            {
                Strike(nodes, PlacementFilter.Taint, taint.Text);
                continue;
            }

            if (SoftlyTainted is null)
            {
                mild.Clear();
                SoftlyTainted = soft;
            }

            nodes.Unite(mild);
        }

        SoftlyTainted?.Become(mild);
    }

    private void KeepFit()
    {
        if (request.Architecture is { } architecture)
        {
            Keep(
                index.Attributes.Find(NodeAttributes.Architecture, architecture), PlacementFilter.Architecture,
                architecture);
        }

        foreach (string feature in request.Features)
        {
            KeepHaving(feature);
        }

        foreach (NodeConstraint constraint in request.Constraints)
        {
            // Of a request for GPUs it is said of the devices.
            if (request.Gpus is null || constraint.Key != NodeAttributes.GpuModel)
            {
                KeepMeeting(constraint);
            }
        }

        foreach (string volume in request.Volumes)
        {
            Keep(index.Attributes.Find(AttributeIndex.Volume, volume), PlacementFilter.Volume, volume);
        }

        if (request.Network is { } network)
        {
            Keep(index.Attributes.Find(AttributeIndex.Network, network), PlacementFilter.Network, network);
        }

        foreach (string name in request.RefusedBy)
        {
            Strike(index.Attributes.Find(NodeAttributes.Node, name), PlacementFilter.Refused, null);
        }
    }

    /// <summary>Which nodes lack something is told by their names, where they are few: those can be mended.</summary>
    private void KeepHaving(string feature)
    {
        int told = Refusals.Count;
        // Of use to nobody before all else was struck off.
        Left.CopyTo(candidates);
        Keep(index.Attributes.Find(NodeAttributes.Feature, feature), PlacementFilter.Feature, feature);
        if (Refusals.Count == told || Refusals[^1].Nodes > Refusal.MostCollected)
        {
            return;
        }

        Bits.AndNot(candidates.AsSpan(0, words), Left);
        List<string> names = [];
        for (int slot = 0; slot < index.Slots.Count; slot++)
        {
            if (Bits.Has(candidates, slot))
            {
                names.Add(index.Slots[slot]!.Node.Name);
            }
        }

        Refusals[^1] = Refusals[^1] with { Names = [.. names.Order(StringComparer.Ordinal).Take(Refusal.MostNames)] };
    }

    private void KeepMeeting(NodeConstraint constraint)
    {
        switch (constraint.Kind)
        {
            case ConstraintKind.Exists:
                Keep(index.Attributes.Find(constraint.Key), PlacementFilter.Constraint, constraint.Text);
                break;
            case ConstraintKind.Missing:
                Strike(index.Attributes.Find(constraint.Key), PlacementFilter.Constraint, constraint.Text);
                break;
            case ConstraintKind.In when constraint.Values.Count == 1:
                Keep(
                    index.Attributes.Find(constraint.Key, constraint.Values[0]), PlacementFilter.Constraint,
                    constraint.Text);
                break;
            default:
                Span<ulong> any = scratch.AsSpan(0, words);
                any.Clear();
                foreach (string value in constraint.Values)
                {
                    index.Attributes.Find(constraint.Key, value)?.Unite(any);
                }

                if (constraint.Kind == ConstraintKind.In)
                {
                    Bits.And(Left, any, left.AsSpan(0, words));
                }
                else
                {
                    Bits.AndNot(left.AsSpan(0, words), any);
                }

                Tell(PlacementFilter.Constraint, constraint.Text);
                break;
        }
    }

    private void KeepNear()
    {
        foreach (AffinityRule rule in request.Affinities)
        {
            if (rule.Weight is not null)
            {
                continue;
            }

            // The first of a group that is to be near itself has nobody to be near to.
            if (!rule.IsAnti && rule.Group == request.Group && own is null)
            {
                continue;
            }

            if (rule.IsAnti)
            {
                Strike(Near(rule), PlacementFilter.Affinity, rule.Text);
            }
            else
            {
                Keep(Near(rule), PlacementFilter.Affinity, rule.Text);
            }
        }
    }

    private void KeepEven()
    {
        least = int.MaxValue;
        if (request.Spread is not { } spread)
        {
            return;
        }

        if (spread.Topology is { } topology)
        {
            foreach ((string value, NodeSet nodes) in index.Attributes.Values(topology) ?? NoValues)
            {
                if (nodes.Meets(Left))
                {
                    Evenness.Add((CountBy(topology, value), nodes, null));
                }
            }

            // In the order of what is told, not of how the index came about.
            Evenness.Sort(static (a, b) => a.Skew.CompareTo(b.Skew));
        }
        else
        {
            NodeSet? holders = own?.Holders;
            Span<ulong> none = scratch.AsSpan(0, words);
            Left.CopyTo(none);
            holders?.Subtract(none);
            if (none.ContainsAnyExcept(0UL))
            {
                Evenness.Add((0, null, holders));
            }

            foreach ((int held, NodeSet nodes) in own?.ByCount ?? [])
            {
                if (nodes.Meets(Left))
                {
                    Evenness.Add((held, nodes, null));
                }
            }
        }

        least = Evenness.Count == 0 ? 0 : Evenness[0].Skew;
        for (int i = 0; i < Evenness.Count; i++)
        {
            Evenness[i] = Evenness[i] with { Skew = Evenness[i].Skew - least };
        }

        KeepWithinSkew(spread);
    }

    private void KeepWithinSkew(SpreadRule spread)
    {
        if (spread.MaxSkew is not { } most)
        {
            return;
        }

        if (spread.Topology is { } topology)
        {
            Keep(index.Attributes.Find(topology), PlacementFilter.Spread, spread.Text);
        }

        foreach ((int skew, NodeSet? nodes, _) in Evenness)
        {
            // Without a set it is the nodes that have none of the group: never too many.
            if (skew + 1 > most && nodes is not null)
            {
                Strike(nodes, PlacementFilter.Spread, spread.Text);
            }
        }
    }

    private void KeepRoom()
    {
        if (request.TakesPlace)
        {
            Keep(index.WithPlace, PlacementFilter.Places, null);
        }

        NodeResources asked = request.Resources;
        if (asked.Millicores > 0)
        {
            Keep(index.Cpu.Find(asked.Millicores, index.Slots), PlacementFilter.Cpu, null);
        }

        if (asked.Memory.Bytes > 0)
        {
            Keep(index.Memory.Find(asked.Memory.Bytes, index.Slots), PlacementFilter.Memory, null);
        }

        if (asked.Disk.Bytes > 0)
        {
            Keep(index.Disk.Find(asked.Disk.Bytes, index.Slots), PlacementFilter.Disk, null);
        }

        if (request.Gpus is not null)
        {
            Keep(index.Gpus.Find(GpuKey.Of(request), index.Slots), PlacementFilter.Gpu, null);
        }
    }

    private NodeSet FindNear(AffinityRule rule)
    {
        if (index.Group(rule.Group) is not { } group)
        {
            return NodeSet.Empty;
        }

        if (rule.Topology is not { } topology)
        {
            return group.Holders;
        }

        Span<ulong> bits = scratch.AsSpan(0, words);
        bits.Clear();
        foreach ((string value, _) in group.By(topology, index.Slots))
        {
            index.Attributes.Find(topology, value)?.Unite(bits);
        }

        while (nearRooms.Count <= near.Count)
        {
            nearRooms.Add(new NodeSet());
        }

        NodeSet room = nearRooms[near.Count];
        room.Become(bits);
        return room;
    }

    private int CountBy(string topology, string value) =>
        own?.By(topology, index.Slots).GetValueOrDefault(value) ?? 0;

    private void Keep(NodeSet? nodes, PlacementFilter filter, string? subject)
    {
        Span<ulong> bits = left.AsSpan(0, words);
        if (nodes is null)
        {
            bits.Clear();
        }
        else if (nodes.Count == index.Count)
        {
            return;
        }
        else if (nodes.IsListed)
        {
            Span<ulong> kept = scratch.AsSpan(0, words);
            nodes.Intersect(bits, kept);
            kept.CopyTo(bits);
        }
        else
        {
            nodes.Intersect(bits, bits);
        }

        Tell(filter, subject);
    }

    private void Strike(NodeSet? nodes, PlacementFilter filter, string? subject)
    {
        if (nodes is { Count: > 0 })
        {
            nodes.Subtract(left.AsSpan(0, words));
            Tell(filter, subject);
        }
    }

    private void Tell(PlacementFilter filter, string? subject)
    {
        int now = Bits.Count(Left);
        if (now == count)
        {
            return;
        }

        // Parts of one rule are told as one.
        if (Refusals.Count > 0 && Refusals[^1] is { } last && last.Filter == filter && last.Subject == subject)
        {
            Refusals[^1] = last with { Nodes = last.Nodes + count - now };
        }
        else
        {
            Refusals.Add(new Refusal(filter, subject, count - now));
        }

        count = now;
    }
}
