namespace Berth.Core.Nodes;

/// <summary>A node that has an image and offers its layers.</summary>
/// <param name="Zone">Value of its label <c>zone</c>; null where it has none.</param>
public readonly record struct LayerHolder(string Name, string? Zone);

/// <summary>Which nodes another one is sent to for the layers of an image.</summary>
public static class NeighbourChoice
{
    /// <summary>Label by which nodes are near to each other.</summary>
    public const string ZoneLabel = "zone";

    /// <summary>Nodes that one is told of: the first that answer suffice, and the server is asked after them.</summary>
    public const int Most = 3;

    /// <summary>Those of the asker's zone first, and among equals in turn, so that not all ask the same one.</summary>
    /// <param name="zone">Of who asks; null where it has none, and all are equal.</param>
    /// <param name="turn">Another number each time.</param>
    public static IReadOnlyList<string> Choose(IEnumerable<LayerHolder> holders, string? zone, uint turn)
    {
        LayerHolder[] all = [.. holders.OrderBy(h => h.Name, StringComparer.Ordinal)];
        LayerHolder[] near = [.. all.Where(h => zone is not null && h.Zone == zone)];
        LayerHolder[] far = [.. all.Where(h => zone is null || h.Zone != zone)];
        return [.. InTurn(near, turn).Concat(InTurn(far, turn)).Take(Most).Select(h => h.Name)];
    }

    private static IEnumerable<LayerHolder> InTurn(LayerHolder[] holders, uint turn)
    {
        int first = holders.Length == 0 ? 0 : (int)(turn % (uint)holders.Length);
        return holders.Skip(first).Concat(holders.Take(first));
    }
}
