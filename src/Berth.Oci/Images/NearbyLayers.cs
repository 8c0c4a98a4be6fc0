using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>The neighbours of one fetch. Layers go to them in turn, and one that failed is not asked for the next.
/// </summary>
internal sealed class NearbyLayers(IReadOnlyList<INeighbour> neighbours) : IDisposable
{
    /// <summary>Neighbours that are tried for a layer before the server is asked.</summary>
    private const int Tries = 2;

    private readonly Lock gate = new();
    private readonly HashSet<INeighbour> failed = [];
    private int turn = -1;

    /// <summary>Those to be asked for the next layer.</summary>
    public IReadOnlyList<INeighbour> Next()
    {
        lock (gate)
        {
            INeighbour[] left = [.. neighbours.Where(n => !failed.Contains(n))];
            turn++;
            return [.. left.Select((_, i) => left[(turn + i) % left.Length]).Take(Tries)];
        }
    }

    public void Fail(INeighbour neighbour, Digest layer, string reason)
    {
        lock (gate)
        {
            failed.Add(neighbour);
        }

        neighbour.Distrust(layer, reason);
    }

    public void Dispose()
    {
        foreach (INeighbour neighbour in neighbours)
        {
            neighbour.Dispose();
        }
    }
}
