using Berth.Oci.Tar;

namespace Berth.Oci.Layers;

/// <summary>What to do with a device node or fifo outside <c>dev/</c>. Under <c>dev/</c> they are always left out: a
/// sandbox has a /dev of its own.</summary>
public enum SpecialFiles
{
    /// <summary>Refuse the layer, naming the entry.</summary>
    Refuse,

    /// <summary>Leave the entry out.</summary>
    Skip,
}

/// <summary>How much an image's layer may hold and what is done with odd entries.</summary>
/// <param name="Tar">Bounds on the archive itself.</param>
/// <param name="MaxOwner">Highest user and group id: sandboxes map 65,536 ids.</param>
/// <param name="MaxRatio">Most times a layer may grow when it is decompressed, once
/// it passed <paramref name="RatioAfter"/>.</param>
/// <param name="RatioAfter">Uncompressed bytes up to which any ratio is taken: small layers
/// of zeros are honest.</param>
/// <param name="FolderNames">Bytes of all folders' paths, which are held in memory until the layer is whole.</param>
/// <param name="CountAfter">Entries after which the rest of them is counted before they
/// are written. Layers of whole distributions have fewer.</param>
/// <param name="Parallel">Layers unpacked at the same time.</param>
public sealed record LayerLimits(
    TarLimits Tar, int MaxOwner, int MaxRatio, long RatioAfter, long FolderNames, SpecialFiles SpecialFiles,
    int CountAfter, int Parallel)
{
    public static LayerLimits Default { get; } = new(
        TarLimits.Default, 65_535, 250, 1024L * 1024 * 1024, 64L * 1024 * 1024, SpecialFiles.Refuse, 50_000, 2);
}
