using System.Numerics;

namespace Berth.Core.Placement;

/// <summary>
/// One decision: filters leave a set of nodes, a bit to each; then the set is cut in two by each thing that gives
/// points, the better part first, and within a part nodes are looked at from the fullest (or emptiest) on. Parts that
/// can't reach what was found already are not looked at.
/// </summary>
internal sealed class PlacementSearch(PlacementIndex index)
{
    private readonly PlacementFilters filters = new(index);
    private readonly List<Part> parts = [];
    private readonly List<ulong[]> depths = [];
    private PlacementRequest request = null!;
    private ScoreLevels levels = null!;
    private Candidate best;
    private Candidate second;
    private int origin;

    public PlacementPlan Plan(PlacementRequest asked)
    {
        asked.Check();
        request = asked;
        // 1. Who may have it.
        int fitting = filters.Apply(asked);
        if (fitting == 0)
        {
            // 2. Nobody as things are; perhaps with less of what counts less.
            Preemption? preemption = Preemption.Find(index, filters.Candidates, asked, Origin(asked.Id));
            return new PlacementPlan(
                asked, preemption?.Node, preemption?.Gpus ?? [], preemption?.Evicted ?? [], index.Count, 0,
                filters.Refusals, null, null);
        }

        // 3. Who gets it.
        levels = index.Levels(asked.Strategy);
        best = second = Candidate.None;
        origin = Origin(asked.Id);
        CollectParts();
        Descend(filters.Left, 0, 0);
        NodeEntry winner = index.Slots[best.Slot]!;
        IReadOnlyList<string> gpus = asked.Gpus is null ? [] : GpuQuery.Of(asked).Choose(winner, freed: null);
        return new PlacementPlan(
            asked, winner.Node.Name, gpus, [], index.Count, fitting, filters.Refusals,
            Score(best.Slot), second.Slot < 0 ? null : Score(second.Slot));
    }

    private int Origin(string id) => PlacementTurns.First(index.Seed, id, index.Slots.Count);

    private void CollectParts()
    {
        parts.Clear();
        AddPart(request.Revision is { } revision ? index.Attributes.Find(AttributeIndex.Revision, revision) : null,
            PlacementScores.Prepared);
        AddPart(request.Image is { } image ? index.Attributes.Find(AttributeIndex.Image, image) : null,
            PlacementScores.Image);
        AddPart(filters.SoftlyTainted, PlacementScores.SoftTaint);
        foreach (AffinityRule rule in request.Affinities)
        {
            if (rule.Weight is { } weight)
            {
                NodeSet near = filters.Near(rule);
                AddPart(near, rule.IsAnti ? -weight : weight);
            }
        }

        for (int i = parts.Count - 1, above = request.Spread is null ? 0 : PlacementScores.Even; i >= 0; i--)
        {
            above += Math.Max(0, parts[i].Points);
            parts[i] = parts[i] with { Above = above };
        }

        while (depths.Count <= parts.Count + 1)
        {
            depths.Add([]);
        }
    }

    private void AddPart(NodeSet? nodes, int points)
    {
        if (nodes is { Count: > 0 })
        {
            parts.Add(new Part(nodes, points, 0));
        }
    }

    private void Descend(ReadOnlySpan<ulong> nodes, int depth, int points)
    {
        if (depth == parts.Count)
        {
            Even(nodes, depth, points);
            return;
        }

        Part part = parts[depth];
        if (points + part.Above + ScoreLevels.Most < second.Points)
        {
            return;
        }

        Span<ulong> half = Room(depth, nodes.Length);
        for (int turn = 0; turn < 2; turn++)
        {
            bool inside = turn == 0 == part.Points > 0;
            if (inside)
            {
                part.Nodes.Intersect(nodes, half);
            }
            else
            {
                nodes.CopyTo(half);
                part.Nodes.Subtract(half);
            }

            if (half.ContainsAnyExcept(0UL))
            {
                Descend(half, depth + 1, points + (inside ? part.Points : 0));
            }
        }
    }

    /// <summary>The last cut: by how many of the group there are.</summary>
    private void Even(ReadOnlySpan<ulong> nodes, int depth, int points)
    {
        if (request.Spread is null)
        {
            Look(nodes, points);
            return;
        }

        Span<ulong> part = Room(depth, nodes.Length);
        foreach ((int skew, NodeSet? of, NodeSet? except) in filters.Evenness)
        {
            int even = points + PlacementScores.Evenness(skew);
            if (even + ScoreLevels.Most < second.Points)
            {
                continue;
            }

            if (of is not null)
            {
                of.Intersect(nodes, part);
            }
            else
            {
                nodes.CopyTo(part);
                except?.Subtract(part);
            }

            if (part.ContainsAnyExcept(0UL))
            {
                Look(part, even);
            }
        }

        if (request.Spread.Topology is { } topology)
        {
            nodes.CopyTo(part);
            index.Attributes.Find(topology)?.Subtract(part);
            Look(part, points);
        }
    }

    private void Look(ReadOnlySpan<ulong> nodes, int points)
    {
        // So many are looked at one by one in less time than a hundred levels take.
        const int few = 768;
        if (points + ScoreLevels.Most < second.Points)
        {
            return;
        }

        if (Bits.Count(nodes) <= few)
        {
            for (int i = 0; i < nodes.Length; i++)
            {
                for (ulong word = nodes[i]; word != 0; word &= word - 1)
                {
                    int slot = (i << 6) + BitOperations.TrailingZeroCount(word);
                    int reached = points + levels.Of(slot);
                    if (reached >= second.Points)
                    {
                        Offer(slot, reached);
                    }
                }
            }

            return;
        }

        for (int level = ScoreLevels.Most; level >= ScoreLevels.Least; level--)
        {
            if (points + level < second.Points)
            {
                return;
            }

            NodeSet at = levels.At(level);
            if (at.Count > 0)
            {
                LookAt(nodes, at, points + level);
            }
        }
    }

    private void LookAt(ReadOnlySpan<ulong> nodes, NodeSet at, int points)
    {
        if (at.IsListed)
        {
            foreach (int slot in at.Listed)
            {
                if (Bits.Has(nodes, slot))
                {
                    Offer(slot, points);
                }
            }

            return;
        }

        // Those after the origin first, and no more than two: further ones of the same points come later in turn.
        ReadOnlySpan<ulong> words = at.Words;
        if (!Bits.Meet(nodes, words))
        {
            return;
        }

        int length = Math.Min(nodes.Length, words.Length);
        int first = origin >> 6;
        int found = 0;
        for (int step = 0; step <= length && found < 2; step++)
        {
            int i = first + step;
            i -= i >= length ? length : 0;
            if (first >= length)
            {
                i = step;
            }

            if (i >= length)
            {
                break;
            }

            ulong word = nodes[i] & words[i];
            if (i == first)
            {
                ulong after = ulong.MaxValue << origin;
                word &= step == 0 ? after : ~after;
            }

            for (; word != 0 && found < 2; word &= word - 1, found++)
            {
                Offer((i << 6) + BitOperations.TrailingZeroCount(word), points);
            }
        }
    }

    private void Offer(int slot, int points)
    {
        int turn = slot - origin;
        Candidate offered = new(slot, points, turn < 0 ? turn + index.Slots.Count : turn);
        if (offered.IsBetterThan(best))
        {
            second = best;
            best = offered;
        }
        else if (offered.IsBetterThan(second))
        {
            second = offered;
        }
    }

    private NodeScore Score(int slot)
    {
        NodeEntry entry = index.Slots[slot]!;
        int affinity = 0;
        bool Has(NodeSet? set) => set?.Contains(slot) == true;
        foreach (AffinityRule rule in request.Affinities)
        {
            if (rule.Weight is { } weight && Has(filters.Near(rule)))
            {
                affinity += rule.IsAnti ? -weight : weight;
            }
        }

        return new NodeScore(
            entry.Node.Name,
            request.Revision is { } revision && Has(index.Attributes.Find(AttributeIndex.Revision, revision))
                ? PlacementScores.Prepared : 0,
            request.Image is { } image && Has(index.Attributes.Find(AttributeIndex.Image, image))
                ? PlacementScores.Image : 0,
            request.Spread is null ? 0 : filters.EvennessOf(entry),
            affinity,
            Has(filters.SoftlyTainted) ? PlacementScores.SoftTaint : 0,
            PlacementScores.Filled(entry, request.Strategy),
            PlacementScores.Loaded(entry.Node));
    }

    private Span<ulong> Room(int depth, int length)
    {
        if (depths[depth].Length < length)
        {
            depths[depth] = new ulong[length];
        }

        return depths[depth].AsSpan(0, length);
    }

    private readonly record struct Candidate(int Slot, int Points, int Turn)
    {
        public static Candidate None => new(-1, int.MinValue, int.MaxValue);

        public bool IsBetterThan(Candidate other) =>
            Points > other.Points || (Points == other.Points && Turn < other.Turn);
    }

    /// <param name="Above">The most points that it and all after it can give.</param>
    private readonly record struct Part(NodeSet Nodes, int Points, int Above);
}
