using Berth.Core.Containers;

namespace Berth.Server.Store;

/// <summary>The durable record of which machine has which volume. Every write is durable when its task completes;
/// throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
internal interface IVolumeStore
{
    /// <summary>Every volume, in no order.</summary>
    Task<IReadOnlyList<Volume>> AllVolumesAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or puts it in the place of what was known of that name.</summary>
    Task PutVolumeAsync(Volume volume, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteVolumeAsync(string name, CancellationToken cancellationToken);
}
