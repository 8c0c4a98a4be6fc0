namespace Berth.Core.Placement;

/// <summary>Among equal nodes the one whose turn is next is chosen. Turns go round the nodes in their order, and begin
/// elsewhere for each request.</summary>
public static class PlacementTurns
{
    /// <param name="nodes">How many turns there are, those of nodes that left included.</param>
    /// <returns>The first one, from 0 on.</returns>
    public static int First(ulong seed, string id, int nodes)
    {
        // FNV-1a: the runtime's own hash of a text differs from process to process.
        ulong hash = 14695981039346656037UL ^ seed;
        foreach (char letter in id)
        {
            hash = (hash ^ letter) * 1099511628211UL;
        }

        hash ^= hash >> 32;
        return nodes == 0 ? 0 : (int)(hash % (ulong)nodes);
    }
}
