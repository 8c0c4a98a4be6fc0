using System.Runtime.CompilerServices;
using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>What all nodes have fetched of images since this server started, from their heartbeats, each of which tells
/// what a node has since it started itself. It only rises.</summary>
internal sealed class FetchedBytes
{
    private readonly Lock gate = new();
    private readonly ConditionalWeakTable<NodeEntry, Told> told = [];
    private long fromNeighbours;
    private long fromServers;

    public long FromNeighbours => Interlocked.Read(ref fromNeighbours);

    public long FromServers => Interlocked.Read(ref fromServers);

    public void Hear(NodeEntry node, NodeHeartbeat beat)
    {
        lock (gate)
        {
            Told now = new(Math.Max(0, beat.FromNeighbours), Math.Max(0, beat.FromServers));
            // The first word may be of long before this server started.
            if (told.TryGetValue(node, out Told? before))
            {
                fromNeighbours += Rise(before.FromNeighbours, now.FromNeighbours);
                fromServers += Rise(before.FromServers, now.FromServers);
            }

            told.AddOrUpdate(node, now);
        }
    }

    /// <summary>A node that tells less has started anew.</summary>
    private static long Rise(long before, long now) => now >= before ? now - before : now;

    private sealed record Told(long FromNeighbours, long FromServers);
}
