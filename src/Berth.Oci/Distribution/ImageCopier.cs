using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>What is happening during a copy.</summary>
/// <param name="Blob">The blob concerned; null for the manifest.</param>
/// <param name="Done">Bytes copied so far.</param>
/// <param name="Total">Bytes of the blob.</param>
public sealed record CopyStep(CopyPhase Phase, Digest? Blob, long Done, long Total);

public enum CopyPhase
{
    /// <summary>The target has the blob already.</summary>
    Present,

    /// <summary>Bytes are on their way.</summary>
    Copying,

    /// <summary>The blob is complete.</summary>
    Copied,

    /// <summary>The layer is unpacked where it will run.</summary>
    Unpacked,

    /// <summary>The manifest is in place: the image can be used.</summary>
    Published,
}

/// <summary>How to copy.</summary>
/// <param name="Platform">Copies of an index only the image for this platform; null copies all of it.</param>
/// <param name="Unpack">Called for each layer once it arrived, while others are still coming.</param>
/// <param name="Progress">Told from several threads.</param>
public sealed record CopyOptions(
    Platform? Platform = null,
    Func<Descriptor, Digest, CancellationToken, Task>? Unpack = null,
    Action<CopyStep>? Progress = null)
{
    /// <summary>Blobs on the way at a time, as docker does.</summary>
    public int Parallel { get; init; } = 3;
}

/// <summary>
/// Copies one image between any origin and any target: blobs first, three at a time, the manifest last.
/// </summary>
public sealed class ImageCopier(IImageOrigin origin, IImageTarget target, CopyOptions options)
{
    // An index may name indexes (rare, legal); deeper nesting serves no purpose.
    private const int MaxDepth = 2;

    /// <summary>
    /// Copies what <paramref name="tagOrDigest"/> names and returns the digest of what was published.
    /// </summary>
    public async Task<Digest> CopyAsync(string tagOrDigest, string? tag, CancellationToken cancellationToken)
    {
        ManifestContent root = await origin.GetManifestAsync(tagOrDigest, cancellationToken);
        return await CopyAsync(root, tag, MaxDepth, cancellationToken);
    }

    private async Task<Digest> CopyAsync(
        ManifestContent content, string? tag, int depth, CancellationToken cancellationToken)
    {
        ManifestDocument document = content.Parse();
        if (document.Index is { } index)
        {
            if (options.Platform is { } platform)
            {
                Descriptor chosen = PlatformChoice.Choose(index, platform)
                    ?? throw new BerthException(
                        ErrorCode.ImageNotFound,
                        $"The image {content.Digest} has no variant for {platform.Os}/{platform.Architecture}.");
                ManifestContent only = await origin.GetManifestAsync(chosen.DigestText, cancellationToken);
                return await CopyAsync(only, tag, Deeper(depth), cancellationToken);
            }

            foreach (Descriptor child in index.Manifests)
            {
                ManifestContent part = await origin.GetManifestAsync(child.DigestText, cancellationToken);
                await CopyAsync(part, null, Deeper(depth), cancellationToken);
            }
        }
        else
        {
            await CopyContentAsync(document.Manifest!, cancellationToken);
        }

        await target.PutManifestAsync(content, tag, cancellationToken);
        options.Progress?.Invoke(new CopyStep(CopyPhase.Published, null, content.Bytes.Length, content.Bytes.Length));
        return content.Digest;
    }

    private static int Deeper(int depth) => depth > 0
        ? depth - 1
        : throw new BerthException(ErrorCode.ManifestInvalid, "The image's index names indexes in indexes.");

    private async Task CopyContentAsync(ImageManifest manifest, CancellationToken cancellationToken)
    {
        ConcurrentDictionary<string, Digest> diffIds = await ReadDiffIdsAsync(manifest, cancellationToken);
        var unpacking = new ConcurrentBag<Task>();
        try
        {
            await Parallel.ForEachAsync(
                manifest.Layers.Prepend(manifest.Config)
                    .Where(l => !MediaTypes.IsForeignLayer(l.MediaType)).DistinctBy(l => l.DigestText),
                new ParallelOptions
                {
                    MaxDegreeOfParallelism = options.Parallel,
                    CancellationToken = cancellationToken
                },
                async (blob, stop) =>
                {
                    await CopyBlobAsync(blob, stop);
                    if (diffIds.TryGetValue(blob.DigestText, out Digest diffId))
                    {
                        unpacking.Add(UnpackAsync(blob, diffId, cancellationToken));
                    }
                });
        }
        finally
        {
            await Task.WhenAll(unpacking);
        }
    }

    private async Task UnpackAsync(Descriptor layer, Digest diffId, CancellationToken cancellationToken)
    {
        await options.Unpack!(layer, diffId, cancellationToken);
        options.Progress?.Invoke(new CopyStep(CopyPhase.Unpacked, layer.Digest, layer.Size, layer.Size));
    }

    /// <summary>
    /// Which layer unpacks to what, known from the configuration alone; empty when nobody wants to know.
    /// </summary>
    private async Task<ConcurrentDictionary<string, Digest>> ReadDiffIdsAsync(
        ImageManifest manifest, CancellationToken cancellationToken)
    {
        var diffIds = new ConcurrentDictionary<string, Digest>();
        if (options.Unpack is null || !MediaTypes.IsImageConfig(manifest.Config.MediaType))
        {
            return diffIds;
        }

        ImageConfig config = await ReadConfigAsync(origin, manifest.Config, cancellationToken);
        foreach (
            (Descriptor layer, Digest diffId) in manifest.Layers.Zip(ImageConfigDocument.DiffIds(config, manifest)))
        {
            diffIds[layer.DigestText] = diffId;
        }

        return diffIds;
    }

    /// <summary>Reads an image's configuration from an origin, verified.</summary>
    internal static async Task<ImageConfig> ReadConfigAsync(
        IImageOrigin origin, Descriptor config, CancellationToken cancellationToken)
    {
        await using Stream stream = await origin.OpenBlobAsync(config, cancellationToken);
        byte[] bytes = await BlobReading.ReadAsync(
            stream, $"The configuration {config.Digest}", ImageConfigDocument.MaxBytes, cancellationToken);
        BlobReading.Verify(bytes, config.Digest);
        return ImageConfigDocument.Parse(bytes);
    }

    private async Task CopyBlobAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        if (await target.HasBlobAsync(blob, cancellationToken))
        {
            options.Progress?.Invoke(new CopyStep(CopyPhase.Present, blob.Digest, blob.Size, blob.Size));
            return;
        }

        await using Stream source = await origin.OpenBlobAsync(blob, cancellationToken);
        await using var counted = new CopyStream(source, blob, options.Progress);
        await target.PutBlobAsync(blob, counted, cancellationToken);
        options.Progress?.Invoke(new CopyStep(CopyPhase.Copied, blob.Digest, blob.Size, blob.Size));
    }
}
