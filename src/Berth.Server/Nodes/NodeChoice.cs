using Berth.Core.Errors;

namespace Berth.Server.Nodes;

/// <summary>A node as work is placed by.</summary>
/// <param name="Places">Sandboxes that it runs at once.</param>
/// <param name="Running">Those it runs now.</param>
/// <param name="IsOwn">Whether it is the server's own.</param>
/// <param name="IsOpen">Whether it is ready and takes new work.</param>
/// <param name="HasImage">Whether the image is there already.</param>
internal readonly record struct NodeOffer(
    string Name, int Places, int Running, bool IsOwn, bool IsOpen, bool HasImage);

/// <summary>Which node gets an attempt. Pure: offers in, a name out.</summary>
internal static class NodeChoice
{
    /// <summary>How much fuller, of its places, a node with the image may be than one that would fetch it.</summary>
    private const double WorthOfImage = 0.25;

    /// <summary>The least loaded one, those that have the image before others; among equals the server's own, which is
    /// nearest. Throws BerthException (<c>NodeFault</c>) where none may have it.</summary>
    /// <param name="ownOnly">Whether it needs something of the server's own machine.</param>
    public static string Choose(IReadOnlyList<NodeOffer> offers, bool ownOnly)
    {
        NodeOffer? best = null;
        double bestScore = double.MaxValue;
        foreach (NodeOffer offer in offers.Where(o => o.IsOpen && o.Places > 0 && (o.IsOwn || !ownOnly)))
        {
            double score = (offer.Running + 1.0) / offer.Places + (offer.HasImage ? 0 : WorthOfImage);
            // Full ones come last: places are counted elsewhere, and a count may be older than the truth.
            score += offer.Running >= offer.Places ? 1000 : 0;
            if (score < bestScore || (score == bestScore && offer.IsOwn))
            {
                best = offer;
                bestScore = score;
            }
        }

        return best?.Name ?? throw new BerthException(
            ErrorCode.NodeFault,
            ownOnly
                ? "It needs the server's own node, which takes no new work: 'berth node uncordon' lets it."
                : "No node takes new work: 'berth node ls' shows why.")
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        };
    }
}
