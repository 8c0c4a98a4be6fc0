using System.Numerics;

namespace Berth.Core.Placement;

/// <summary>
/// Which nodes are to have an image before they need it. An even spread sends runs to nodes without the image once
/// those that have it are some runs ahead; instances go to another node each. So as a group grows, the nodes that come
/// next fetch its image while the others still have room.
/// </summary>
internal sealed class ImageSpread(PlacementIndex index)
{
    /// <summary>Runs on a node, about half of what has the next one go to a node without the image.</summary>
    private const int RunsPerNode = 3;

    private readonly PlacementFilters filters = new(index);
    private ulong[] lacking = [];
    private ulong[] level = [];

    /// <summary>Nodes that are to have the image of so many runs.</summary>
    public static int Wanted(int runs, bool takesPlace) => 1 + (takesPlace ? runs / RunsPerNode : runs);

    /// <summary>Nodes that are to fetch a request's image, those first that would have the next run.</summary>
    public IReadOnlyList<string> Find(PlacementRequest request, int most)
    {
        if (request.Image is not { } image)
        {
            return [];
        }

        filters.Apply(request);
        ReadOnlySpan<ulong> suiting = filters.Candidates;
        int words = suiting.Length;
        if (lacking.Length < words)
        {
            lacking = new ulong[words];
            level = new ulong[words];
        }

        Span<ulong> without = lacking.AsSpan(0, words);
        suiting.CopyTo(without);
        index.Attributes.Find(AttributeIndex.Image, image)?.Subtract(without);
        index.Attributes.Find(AttributeIndex.ComingImage, image)?.Subtract(without);
        int having = Bits.Count(suiting) - Bits.Count(without);
        int wanted = Math.Min(Wanted(RunsOf(request.Group), request.TakesPlace) - having, most);
        return wanted <= 0 ? [] : First(without, index.Levels(request.Strategy), wanted);
    }

    private int RunsOf(string? group) => group is not null && index.Group(group) is { } runs
        ? runs.ByCount.Sum(same => same.Key * same.Value.Count)
        : 0;

    private List<string> First(ReadOnlySpan<ulong> nodes, ScoreLevels levels, int most)
    {
        List<string> first = [];
        Span<ulong> at = level.AsSpan(0, nodes.Length);
        for (int points = ScoreLevels.Most; points >= ScoreLevels.Least && first.Count < most; points--)
        {
            if (levels.At(points) is not { Count: > 0 } same)
            {
                continue;
            }

            same.Intersect(nodes, at);
            for (int word = 0; word < at.Length && first.Count < most; word++)
            {
                for (ulong bits = at[word]; bits != 0 && first.Count < most; bits &= bits - 1)
                {
                    first.Add(index.Slots[(word << 6) + BitOperations.TrailingZeroCount(bits)]!.Node.Name);
                }
            }
        }

        return first;
    }
}
