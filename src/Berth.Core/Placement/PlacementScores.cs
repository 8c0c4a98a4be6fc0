namespace Berth.Core.Placement;

/// <summary>What a node gets points for. A sandbox that stands ready saves most, then an even spread where it is asked
/// for, then an image that need not be fetched; how full the node is decides among equals.</summary>
public static class PlacementScores
{
    public const int Prepared = 400;

    /// <summary>Of a node whose topology has the least of the group.</summary>
    public const int Even = 300;

    public const int Image = 200;

    /// <summary>Of a node with a mild taint that the workload does not bear.</summary>
    public const int SoftTaint = -200;

    /// <summary>Of a node that is as full (or as empty) as can be.</summary>
    public const int Fullness = 100;

    /// <summary>Of a node whose machine is wholly busy.</summary>
    public const int Load = -50;

    internal const int MostSkewTold = 10;

    /// <summary>Points by how many more of the group there are than at the least.</summary>
    internal static int Evenness(int skew) => Even - (Even / MostSkewTold * Math.Min(skew, MostSkewTold));

    internal static int Loaded(NodeSnapshot node) =>
        (int)(Load * Math.Clamp(double.IsNaN(node.Load) ? 1 : node.Load, 0, 1));

    internal static int Filled(NodeEntry entry, PlacementStrategy strategy) =>
        strategy == PlacementStrategy.Pack ? entry.Fullness : Fullness - entry.Fullness;
}

/// <summary>The points of one node for one request.</summary>
public sealed record NodeScore(
    string Node, int Prepared, int Image, int Evenness, int Affinity, int Taint, int Fullness, int Load)
{
    public int Total => Prepared + Image + Evenness + Affinity + Taint + Fullness + Load;

    /// <summary>For instance <c>462 (image 200, even spread 270, fullness 12, load -20)</c>.</summary>
    public string Text
    {
        get
        {
            (string What, int Points)[] parts =
            [
                ("prepared sandbox", Prepared), ("image held", Image), ("even spread", Evenness),
                ("affinity", Affinity), ("mild taint", Taint), ("fullness", Fullness), ("load", Load),
            ];
            string told = string.Join(
                ", ", parts.Where(part => part.Points != 0).Select(part => $"{part.What} {part.Points}"));
            return told.Length == 0 ? "0" : $"{Total} ({told})";
        }
    }
}

/// <summary>All nodes by their points for fullness and load, which change with every placement.</summary>
internal sealed class ScoreLevels(PlacementStrategy strategy)
{
    private readonly NodeSet[] levels =
        [.. Enumerable.Range(0, Most - Least + 1).Select(_ => new NodeSet())];

    private int[] levelOf = [];

    public static int Least => PlacementScores.Load;

    public static int Most => PlacementScores.Fullness;

    public NodeSet At(int points) => levels[points - Least];

    public int Of(int slot) => levelOf[slot];

    public void Change(NodeEntry entry, bool isNew)
    {
        int points = PlacementScores.Filled(entry, strategy) + PlacementScores.Loaded(entry.Node);
        if (entry.Slot >= levelOf.Length)
        {
            Array.Resize(ref levelOf, Math.Max(entry.Slot + 1, levelOf.Length * 2));
        }

        if (!isNew && levelOf[entry.Slot] == points)
        {
            return;
        }

        if (!isNew)
        {
            Remove(entry.Slot);
        }

        levelOf[entry.Slot] = points;
        At(points).Add(entry.Slot);
    }

    public void Remove(int slot) => At(levelOf[slot]).Remove(slot);
}
