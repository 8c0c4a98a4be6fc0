using Berth.Api.Links;
using Berth.Core.Images;
using Berth.Core.Nodes;
using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>Tells a node from which others it may fetch the layers of an image: those that are linked, hold it as their
/// heartbeats say, and offer theirs.</summary>
internal sealed class NodeNeighbours(NodeRegister register)
{
    private int turn;

    public NeighbourList Of(NodeEntry asker, Digest image)
    {
        Dictionary<string, LayerOffer> offers = new(StringComparer.Ordinal);
        List<LayerHolder> holders = [];
        foreach (NodeEntry node in register.All)
        {
            if (node != asker && node.Availability == NodeAvailability.Ready
                && node.Node?.Link is { Sharing: { } offer, Heartbeat.Images: { } held } && held.Contains(image.Text))
            {
                offers[node.Name] = offer;
                holders.Add(new LayerHolder(node.Name, ZoneOf(node)));
            }
        }

        uint next = (uint)Interlocked.Increment(ref turn);
        return new NeighbourList(
            [.. NeighbourChoice.Choose(holders, ZoneOf(asker), next).Select(name => offers[name])]);
    }

    private static string? ZoneOf(NodeEntry node) => node.Record.Labels.GetValueOrDefault(NeighbourChoice.ZoneLabel);
}
