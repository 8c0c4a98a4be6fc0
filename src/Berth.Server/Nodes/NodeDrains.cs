using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Server.Cluster;
using Berth.Server.Containers;
using Berth.Server.Store;

namespace Berth.Server.Nodes;

/// <summary>How far the drain of a node is.</summary>
/// <param name="Running">What it still has.</param>
internal sealed record NodeDrain(
    NodeEntry Node, IReadOnlyList<string> Moved, IReadOnlyList<StayingContainer> Staying, int Running,
    IReadOnlyList<UnaskedServer> Unasked);

/// <summary>
/// Empties a node. Each server has its own containers and attempts there, so each does its part when one of them is
/// told; who can't be asked is named.
/// </summary>
internal sealed class NodeDrains(NodeRooms nodes, ContainerDrains containers)
{
    /// <summary>Gives the node nothing new and moves what can be elsewhere, at all servers. May be asked again and
    /// again.</summary>
    /// <param name="evicts">Whether what is still there ends as well.</param>
    public async Task<NodeDrain> DrainAsync(string name, bool evicts, CancellationToken cancellationToken)
    {
        // Nobody else is told of a node that there is not.
        NodeDrain here = await DrainHereAsync(name, evicts, cancellationToken);
        Peers? peers = nodes.Peers;
        if (peers is null)
        {
            return here;
        }

        (ServerBeat Peer, DrainReport? Report, string? Reason)[] others = await Task.WhenAll(
            peers.Directory.Present.OrderBy(p => p.Name, StringComparer.Ordinal)
                .Select(peer => AskAsync(peers, peer, name, evicts, cancellationToken)));
        return here with
        {
            Moved = [.. here.Moved, .. others.SelectMany(o => o.Report?.Moved ?? [])],
            Staying =
            [
                .. here.Staying,
                .. others.SelectMany(o => (o.Report?.Staying ?? new Dictionary<string, string>())
                    .OrderBy(s => s.Key, StringComparer.Ordinal)
                    .Select(s => new StayingContainer(s.Key, s.Value, o.Peer.Name))),
            ],
            Running = here.Running + others.Sum(o => o.Report?.Running ?? 0),
            Unasked =
            [
                .. others.Where(o => o.Reason is not null).Select(o => new UnaskedServer(o.Peer.Name, o.Reason!)),
            ],
        };
    }

    /// <summary>This server's part.</summary>
    public async Task<NodeDrain> DrainHereAsync(string name, bool evicts, CancellationToken cancellationToken)
    {
        NodeEntry node = nodes.Register.Get(name);
        if (!node.Record.IsCordoned)
        {
            node = await nodes.Register.ChangeAsync(
                name, record => record with { IsCordoned = true }, cancellationToken);
        }

        if (evicts)
        {
            nodes.Fleet.Move(name);
            containers.EndAll(name);
        }

        (IReadOnlyList<string> moved, IReadOnlyList<StayingContainer> staying) = containers.Begin(name);
        return new NodeDrain(node, moved, staying, nodes.Fleet.RunningOn(node), []);
    }

    private static async Task<(ServerBeat, DrainReport?, string?)> AskAsync(
        Peers peers, ServerBeat peer, string name, bool evicts, CancellationToken cancellationToken)
    {
        try
        {
            return (peer, await peers.DrainAsync(peer.Id, name, evicts, cancellationToken), null);
        }
        catch (BerthException gone) when (gone.Code is ErrorCode.NotFound or ErrorCode.ServerUnreachable)
        {
            return (peer, null, gone.Code == ErrorCode.NotFound
                ? "it does not know the node, or is of a version of Berth that can't be asked"
                : "it can't be reached");
        }
    }
}
