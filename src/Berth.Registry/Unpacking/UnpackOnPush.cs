using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Unpacking;

/// <summary>
/// Unpacks the layers of every image pushed that is for this machine, so that its first call need not. An archive that
/// is refused, or a configuration that can't be run, refuses the push. Indexes have nothing to unpack, their images
/// came before.
/// </summary>
public sealed class UnpackOnPush(ImageCatalog catalog, ILayerStore layers, TimeProvider time, ILoggerFactory loggers)
    : IManifestObserver
{
    private readonly ILogger logger = loggers.CreateLogger<UnpackOnPush>();

    public async Task OnManifestAsync(
        string repository, Digest digest, string mediaType, CancellationToken cancellationToken)
    {
        if (!MediaTypes.IsManifest(mediaType))
        {
            return;
        }

        CatalogDetail image = await catalog.DescribeAsync(digest, mediaType, cancellationToken);
        if (image.Manifest is not { } manifest || image.Config is not { } config || !RunsHere(config))
        {
            return;
        }

        long start = time.GetTimestamp();
        ImageConfigDocument.Check(config);
        IReadOnlyList<Digest> diffIds = ImageConfigDocument.DiffIds(config, manifest);

        // Two at once: unpacking is bound by the processor for one layer and by the disk for another.
        await Parallel.ForEachAsync(
            manifest.Layers.Zip(diffIds).DistinctBy(pair => (pair.First.Digest, pair.Second)),
            new ParallelOptions { MaxDegreeOfParallelism = 2, CancellationToken = cancellationToken },
            async (pair, stop) =>
            {
                if (!MediaTypes.IsForeignLayer(pair.First.MediaType))
                {
                    await layers.EnsureUnpackedAsync(pair.First, pair.Second, stop);
                }
            });
        Log.Unpacked(logger, manifest.Layers.Count, repository, digest, time.GetElapsedTime(start));
    }

    private static bool RunsHere(ImageConfig config) =>
        config.Os == PlatformChoice.Here.Os && config.Architecture == PlatformChoice.Here.Architecture;
}
