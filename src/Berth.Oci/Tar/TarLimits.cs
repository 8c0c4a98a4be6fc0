namespace Berth.Oci.Tar;

/// <summary>
/// What a tar archive may hold at most; each bound keeps a hostile archive from costing more than it weighs.
/// </summary>
/// <param name="Entries">Entries including links and whiteouts. A full Debian desktop has about 250,000.</param>
/// <param name="ExtendedHeader">Bytes of one pax or GNU long-name header, which is held in memory.</param>
/// <param name="PathLength">Bytes of a name or link target: PATH_MAX (linux/limits.h).</param>
/// <param name="Depth">Folders above an entry; one descriptor is held for each.</param>
/// <param name="Bytes">Bytes of the whole archive, uncompressed.</param>
public sealed record TarLimits(int Entries, int ExtendedHeader, int PathLength, int Depth, long Bytes)
{
    public static TarLimits Default { get; } = new(1_000_000, 1024 * 1024, 4096, 256, 20L * 1024 * 1024 * 1024);
}
