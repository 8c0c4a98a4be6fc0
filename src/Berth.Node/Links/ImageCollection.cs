using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>Removes what was fetched and is not used any more: images that no run has asked for in days. What is in use
/// is leased and stays. A pass.</summary>
public sealed class ImageCollection(
    ContentStore content, LayerStore layers, FetchedImages images, TimeProvider time, ILoggerFactory loggers)
{
    private static readonly TimeSpan Period = TimeSpan.FromHours(1);

    /// <summary>A fetch takes less from its first part to its last.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromHours(1);

    private readonly ILogger logger = loggers.CreateLogger<ImageCollection>();

    /// <summary>How long an image is kept that nothing asks for.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromDays(3);

    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                await CollectAsync(stop);
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>One pass.</summary>
    public async Task CollectAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        long stamp = time.GetTimestamp();
        HashSet<Digest> kept = [];
        HashSet<Digest> unpacked = [.. layers.Held()];
        foreach (Digest image in images.Keep(Idle))
        {
            await MarkAsync(image, kept, unpacked, cancellationToken);
        }

        int blobs = 0;
        long bytes = 0;
        foreach (StoredBlob blob in content.Enumerate())
        {
            if (!kept.Contains(blob.Digest) && content.TryCollect(blob.Digest, Grace, now, stamp))
            {
                blobs++;
                bytes += blob.Size;
            }
        }

        foreach (UnpackedLayer layer in layers.Enumerate())
        {
            if (!unpacked.Contains(layer.DiffId))
            {
                layers.TryCollect(layer.DiffId, now - Grace);
            }
        }

        if (blobs > 0)
        {
            LinkLog.Collected(logger, blobs, bytes);
        }
    }

    private async Task MarkAsync(
        Digest digest, HashSet<Digest> kept, HashSet<Digest> unpacked, CancellationToken cancellationToken)
    {
        kept.Add(digest);
        try
        {
            ManifestDocument document = await ReadAsync(digest, cancellationToken);
            foreach (Descriptor child in document.Children.Where(c => content.SizeOf(c.Digest) is not null))
            {
                await MarkAsync(child.Digest, kept, unpacked, cancellationToken);
            }

            if (document.Manifest is not { } manifest)
            {
                return;
            }

            kept.UnionWith(document.Blobs.Select(b => b.Digest));
            await using Stream config = content.OpenVerified(manifest.Config.Digest);
            byte[] bytes = new byte[config.Length];
            await config.ReadExactlyAsync(bytes, cancellationToken);
            unpacked.UnionWith(ImageConfigDocument.DiffIds(ImageConfigDocument.Parse(bytes), manifest));
        }
        catch (BerthException)
        {
            // Not whole: it is fetched anew when it is asked for.
            return;
        }
    }

    private async Task<ManifestDocument> ReadAsync(Digest digest, CancellationToken cancellationToken)
    {
        await using Stream blob = content.OpenVerified(digest);
        byte[] bytes = new byte[blob.Length];
        await blob.ReadExactlyAsync(bytes, cancellationToken);
        return ManifestDocument.Parse(bytes, null);
    }
}
