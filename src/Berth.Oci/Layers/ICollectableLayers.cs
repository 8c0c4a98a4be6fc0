using Berth.Core.Images;

namespace Berth.Oci.Layers;

/// <summary>An unpacked layer as the garbage collector sees it.</summary>
/// <param name="UsedAt">When it was unpacked or last asked for.</param>
public sealed record UnpackedLayer(Digest DiffId, DateTimeOffset UsedAt);

/// <summary>The unpacked layers, to the garbage collector.</summary>
public interface ICollectableLayers
{
    /// <summary>All unpacked layers, in no order.</summary>
    IEnumerable<UnpackedLayer> Enumerate();

    /// <summary>Layers that open images hold now.</summary>
    IReadOnlySet<Digest> Held();

    /// <summary>
    /// Removes a layer unless an image holds it or it was used after <paramref name="unusedSince"/>. Returns whether
    /// it was removed. Takes part in the same lock as holding does, so that no held layer goes.
    /// </summary>
    bool TryCollect(Digest diffId, DateTimeOffset unusedSince);
}
