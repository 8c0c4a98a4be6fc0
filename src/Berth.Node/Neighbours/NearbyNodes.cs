using System.Collections.Concurrent;
using Berth.Api.Links;
using Berth.Core.Images;
using Berth.Node.Links;
using Berth.Oci.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Neighbours;

/// <summary>The nodes that this one fetches layers from: those that a server names for an image, without those that
/// lately gave something of no use.</summary>
/// <param name="ask">Asks a server for them; none where no server answers.</param>
/// <param name="identity">Shown to them.</param>
internal sealed class NearbyNodes(
    Func<Digest, CancellationToken, Task<NeighbourList?>> ask, Func<NodeIdentity> identity, TimeProvider time,
    ILogger logger) : INeighbours
{
    /// <summary>Of what a server names.</summary>
    private const int Most = 4;

    private const int MostRemembered = 1000;

    private static readonly TimeSpan Distrust = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<LayerOffer, long> distrusted = new();

    public async Task<IReadOnlyList<INeighbour>> OfAsync(Digest image, CancellationToken cancellationToken)
    {
        NeighbourList? named = await ask(image, cancellationToken);
        return
        [
            .. (named?.Neighbours ?? []).Where(offer => offer.Read() is not null && !IsDistrusted(offer)).Take(Most)
                .Select(offer => new Neighbour(offer, identity(), time, (layer, reason) => Note(offer, layer, reason))),
        ];
    }

    private bool IsDistrusted(LayerOffer offer) =>
        distrusted.TryGetValue(offer, out long at) && time.GetElapsedTime(at) < Distrust;

    private void Note(LayerOffer offer, Digest layer, string reason)
    {
        NeighbourLog.NotFromNeighbour(logger, layer, offer.Address, reason);
        if (distrusted.Count >= MostRemembered)
        {
            distrusted.Clear();
        }

        distrusted[offer] = time.GetTimestamp();
    }
}
