using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;

namespace Berth.Oci.Images;

/// <summary>An image that a store has all of.</summary>
/// <param name="UsedAt">When its manifest was committed, or last promised.</param>
internal sealed record StoredImage(Digest Digest, HashSet<Digest> Layers, DateTimeOffset UsedAt);

/// <summary>
/// Finds the images in a content store that can be run without fetching anything, by their manifests: documents are
/// checked against their digests, layers by their sizes, as a fetch does. Of what is there in part nothing is told.
/// </summary>
internal sealed class StoredImages(ContentStore content, Platform platform)
{
    /// <summary>Files that are read at once: disks are faster so.</summary>
    private const int AtOnce = 4;

    private readonly Dictionary<Digest, StoredBlob> blobs = [];

    public async Task<IReadOnlyList<StoredImage>> FindAsync(CancellationToken cancellationToken)
    {
        foreach (StoredBlob blob in content.Enumerate())
        {
            blobs[blob.Digest] = blob;
        }

        ConcurrentDictionary<Digest, ImageIndex> indexes = new();
        ConcurrentDictionary<Digest, StoredImage> whole = new();
        await Parallel.ForEachAsync(
            blobs.Values.Where(b => b.Size is > 0 and <= ManifestDocument.MaxBytes),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
            async (blob, token) =>
            {
                ManifestDocument? document = await DocumentAsync(blob, token);
                if (document?.Index is { } index)
                {
                    indexes[blob.Digest] = index;
                }
                else if (document?.Manifest is { } manifest && await IsWholeAsync(manifest, token))
                {
                    whole[blob.Digest] = new StoredImage(
                        blob.Digest, [.. manifest.Layers.Select(l => l.Digest)], blob.UsedAt);
                }
            });
        return WithIndexes(whole, indexes);
    }

    /// <summary>What came by an index is asked for by that, and is one image.</summary>
    private List<StoredImage> WithIndexes(
        IReadOnlyDictionary<Digest, StoredImage> whole, IReadOnlyDictionary<Digest, ImageIndex> indexes)
    {
        List<StoredImage> found = [];
        HashSet<Digest> parts = [];
        foreach ((Digest digest, ImageIndex index) in indexes)
        {
            if (PlatformChoice.Choose(index, platform) is { } chosen
                && whole.TryGetValue(chosen.Digest, out StoredImage? image))
            {
                parts.Add(chosen.Digest);
                found.Add(image with { Digest = digest, UsedAt = blobs[digest].UsedAt });
            }
        }

        found.AddRange(whole.Values.Where(image => !parts.Contains(image.Digest)));
        return found;
    }

    /// <summary>Null for all that is no manifest and no index.</summary>
    private async Task<ManifestDocument?> DocumentAsync(StoredBlob blob, CancellationToken cancellationToken)
    {
        try
        {
            return await ReadAsync(blob.Digest, cancellationToken) is { } bytes
                ? ManifestDocument.Parse(bytes, null)
                : null;
        }
        catch (Exception none) when (IsOfTheBlob(none))
        {
            return null;
        }
    }

    private async Task<bool> IsWholeAsync(ImageManifest manifest, CancellationToken cancellationToken)
    {
        if (!MediaTypes.IsImageConfig(manifest.Config.MediaType) || manifest.Config.Size > ImageConfigDocument.MaxBytes
            || !manifest.Layers.Append(manifest.Config).All(
                part => blobs.GetValueOrDefault(part.Digest)?.Size == part.Size))
        {
            return false;
        }

        try
        {
            if (await ReadAsync(manifest.Config.Digest, cancellationToken) is not { } bytes)
            {
                return false;
            }

            ImageConfig config = ImageConfigDocument.Parse(bytes);
            return config.Os == platform.Os && config.Architecture == platform.Architecture
                && ImageConfigDocument.DiffIds(config, manifest).Count == manifest.Layers.Count;
        }
        catch (Exception none) when (IsOfTheBlob(none))
        {
            return false;
        }
    }

    /// <summary>A document that has its digest; null for what begins like none.</summary>
    private async Task<byte[]?> ReadAsync(Digest digest, CancellationToken cancellationToken)
    {
        await using Stream blob = content.OpenVerified(digest);
        byte[] first = new byte[1];
        if (await blob.ReadAsync(first, cancellationToken) == 0
            || first[0] is not ((byte)'{' or (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t'))
        {
            return null;
        }

        byte[] bytes = new byte[blob.Length];
        bytes[0] = first[0];
        await blob.ReadExactlyAsync(bytes.AsMemory(1), cancellationToken);
        return bytes;
    }

    /// <summary>One file that is damaged, or went meanwhile, does not hide the others.</summary>
    private static bool IsOfTheBlob(Exception error) =>
        error is BerthException or IOException or UnauthorizedAccessException;
}
