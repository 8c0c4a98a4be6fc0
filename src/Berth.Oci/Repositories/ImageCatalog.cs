using System.Globalization;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;

namespace Berth.Oci.Repositories;

/// <summary>What a reference names now. A tag may name another image later, a digest never.</summary>
public sealed record ResolvedImage(string Repository, string? Tag, Digest Digest, string MediaType);

/// <summary>A tagged image and what is known of it without reading its layers.</summary>
/// <param name="Size">Bytes of configuration and layers as stored, of this machine's platform for an index.</param>
/// <param name="DiffIds">Digests of the unpacked layers, lowest first; empty when it is no
/// image that runs here.</param>
public sealed record CatalogImage(
    string Repository, string? Tag, Digest Digest, string MediaType, long Size, string? Architecture,
    DateTimeOffset? Created, DateTimeOffset PushedAt, IReadOnlyList<Digest> DiffIds);

/// <summary>
/// An image in full; manifest and configuration are those for this machine's platform, if it has one.
/// </summary>
public sealed record CatalogDetail(CatalogImage Image, ImageManifest? Manifest, ImageConfig? Config);

/// <summary>Answers questions about images by name: what a reference names, what there is, what an image is.</summary>
public sealed class ImageCatalog(RepositoryStore repositories, IContentStore content)
{
    /// <summary>Resolves a reference to one of this server's images. Throws BerthException(ImageNotFound).</summary>
    public ResolvedImage Resolve(ImageReference reference)
    {
        ManifestLink link = repositories.FindManifest(reference.Repository, reference.TagOrDigest)
            ?? throw new BerthException(
                ErrorCode.ImageNotFound,
                $"There is no image {reference}: push it first, or list what there is with 'berth image ls'.");
        string? tag = reference.Digest is null ? reference.Tag : null;
        return new ResolvedImage(reference.Repository, tag, link.Digest, link.MediaType);
    }

    /// <summary>Tagged images sorted by repository and tag.</summary>
    /// <param name="after">The last image of the part before, or null to begin.</param>
    public async Task<Page<CatalogImage>> ListAsync(
        ImageReference? after, int limit, CancellationToken cancellationToken)
    {
        List<CatalogImage> images = [];
        foreach ((string repository, TagLink tag) in TagsAfter(after))
        {
            if (images.Count == limit)
            {
                return new Page<CatalogImage>(images, More: true);
            }

            if (repositories.FindManifest(repository, tag.Digest) is { } link)
            {
                ResolvedImage image = new(repository, tag.Tag, tag.Digest, link.MediaType);
                images.Add((await DescribeAsync(image, tag.TaggedAt, cancellationToken)).Image);
            }
        }

        return new Page<CatalogImage>(images, More: false);
    }

    /// <summary>All about one image. Throws BerthException(ImageNotFound).</summary>
    public Task<CatalogDetail> DescribeAsync(ImageReference reference, CancellationToken cancellationToken)
    {
        ResolvedImage image = Resolve(reference);
        DateTimeOffset pushed = image.Tag is { } tag && repositories.FindTag(image.Repository, tag) is { } link
            ? link.TaggedAt
            : repositories.FindManifest(image.Repository, image.Digest)?.PushedAt ?? default;
        return DescribeAsync(image, pushed, cancellationToken);
    }

    /// <summary>What a stored manifest or index is, by its digest alone.</summary>
    public Task<CatalogDetail> DescribeAsync(Digest digest, string mediaType, CancellationToken cancellationToken) =>
        DescribeAsync(new ResolvedImage("", null, digest, mediaType), default, cancellationToken);

    /// <summary>
    /// Removes a name; with the last name of an image also the image, and what of an index has no name
    /// of its own. A reference by digest removes the image under all its names. Content goes with the
    /// next collection. Throws BerthException(ImageNotFound).
    /// </summary>
    public async Task DeleteAsync(ImageReference reference, CancellationToken cancellationToken)
    {
        ResolvedImage image = Resolve(reference);
        if (image.Tag is { } tag)
        {
            repositories.DeleteTag(image.Repository, tag);
        }

        await RemoveAsync(image.Repository, image.Digest, evenIfTagged: image.Tag is null, cancellationToken);
    }

    /// <summary>
    /// Manifests and indexes that nothing names: no tag, no index of their repository, and no subject that is there.
    /// </summary>
    /// <param name="pushedBefore">Only those pushed before.</param>
    public async Task<IReadOnlyList<(string Repository, ManifestLink Manifest)>> FindUnnamedAsync(
        DateTimeOffset pushedBefore, CancellationToken cancellationToken)
    {
        List<(string, ManifestLink)> unnamed = [];
        foreach (string repository in repositories.Names())
        {
            IReadOnlyCollection<ManifestLink> all = repositories.Manifests(repository);
            HashSet<Digest> named = [.. repositories.Tags(repository, null, int.MaxValue - 1)?.Entries
                .Select(t => t.Digest) ?? []];
            foreach (ManifestLink index in all.Where(m => MediaTypes.IsIndex(m.MediaType)))
            {
                if (content.SizeOf(index.Digest) is not null)
                {
                    named.UnionWith((await ReadAsync(index.Digest, index.MediaType, cancellationToken))
                        .Children.Select(c => c.Digest));
                }
            }

            unnamed.AddRange(all
                .Where(m => m.PushedAt < pushedBefore && !named.Contains(m.Digest)
                    && !(m.Subject is { } subject && repositories.FindManifest(repository, subject) is not null))
                .Select(m => (repository, m)));
        }

        return unnamed;
    }

    /// <summary>Whether a document could not be read because it is gone, damaged or no manifest.</summary>
    public static bool IsDamage(BerthException e) => e.Code
        is ErrorCode.BlobUnknown or ErrorCode.ManifestInvalid or ErrorCode.DigestMismatch or ErrorCode.SizeInvalid;

    /// <summary>Reads a stored manifest or index. Throws a BerthException for which <see cref="IsDamage"/> holds when
    /// that can't be done.</summary>
    public async Task<ManifestDocument> ReadAsync(Digest digest, string? mediaType, CancellationToken cancellationToken)
    {
        byte[] bytes = await BlobReading.ReadAsync(content, digest, ManifestDocument.MaxBytes, cancellationToken);
        return ManifestDocument.Parse(bytes, mediaType);
    }

    private IEnumerable<(string Repository, TagLink Tag)> TagsAfter(ImageReference? after)
    {
        if (after is not null && repositories.Tags(after.Repository, after.Tag, int.MaxValue - 1) is { } rest)
        {
            foreach (TagLink tag in rest.Entries)
            {
                yield return (after.Repository, tag);
            }
        }

        foreach (string repository in repositories.Names(after?.Repository))
        {
            foreach (TagLink tag in repositories.Tags(repository, null, int.MaxValue - 1)?.Entries ?? [])
            {
                yield return (repository, tag);
            }
        }
    }

    private async Task<CatalogDetail> DescribeAsync(
        ResolvedImage image, DateTimeOffset pushed, CancellationToken cancellationToken)
    {
        CatalogImage summary = new(
            image.Repository, image.Tag, image.Digest, image.MediaType, 0, null, null, pushed, []);
        try
        {
            ManifestDocument document = await ReadAsync(image.Digest, image.MediaType, cancellationToken);
            if (document.Index is { } index)
            {
                if (PlatformChoice.Choose(index, PlatformChoice.Here) is not { } chosen)
                {
                    return new CatalogDetail(summary, null, null);
                }

                document = await ReadAsync(chosen.Digest, chosen.MediaType, cancellationToken);
            }

            return await DescribeAsync(summary, document, cancellationToken);
        }
        catch (BerthException e) when (IsDamage(e))
        {
            // One damaged image must not hide the others from a list.
            return new CatalogDetail(summary, null, null);
        }
    }

    private async Task<CatalogDetail> DescribeAsync(
        CatalogImage summary, ManifestDocument document, CancellationToken cancellationToken)
    {
        ImageManifest? manifest = document.Manifest;
        if (manifest is null)
        {
            return new CatalogDetail(summary, null, null);
        }

        summary = summary with { Size = manifest.Config.Size + manifest.Layers.Sum(l => l.Size) };
        if (!MediaTypes.IsImageConfig(manifest.Config.MediaType))
        {
            return new CatalogDetail(summary, manifest, null);
        }

        ImageConfig? config = await ReadConfigAsync(manifest.Config.Digest, cancellationToken);
        summary = summary with
        {
            Architecture = config?.Architecture,
            Created = DateTimeOffset.TryParse(config?.Created, CultureInfo.InvariantCulture, out var at) ? at : null,
            DiffIds = [.. (config?.RootFs?.DiffIds ?? []).Select(d => Digest.TryParse(d, out Digest id) ? id : default)
                .Where(d => !d.IsEmpty)],
        };
        return new CatalogDetail(summary, manifest, config);
    }

    private async Task<ImageConfig?> ReadConfigAsync(Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = await BlobReading.ReadAsync(
                content, digest, ImageConfigDocument.MaxBytes, cancellationToken);
            return JsonSerializer.Deserialize(bytes, OciJson.Default.ImageConfig);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private async Task RemoveAsync(
        string repository, Digest digest, bool evenIfTagged, CancellationToken cancellationToken)
    {
        if (repositories.FindManifest(repository, digest) is not { } link
            || (!evenIfTagged && await IsUsedAsync(repository, digest, cancellationToken)))
        {
            return;
        }

        IEnumerable<Descriptor> children = [];
        if (MediaTypes.IsIndex(link.MediaType) && content.SizeOf(digest) is not null)
        {
            children = (await ReadAsync(digest, link.MediaType, cancellationToken)).Children;
        }

        repositories.DeleteManifest(repository, digest);
        foreach (Descriptor child in children)
        {
            await RemoveAsync(repository, child.Digest, evenIfTagged: false, cancellationToken);
        }
    }

    private async Task<bool> IsUsedAsync(string repository, Digest digest, CancellationToken cancellationToken)
    {
        if (repositories.Tags(repository, null, int.MaxValue - 1)?.Entries.Any(t => t.Digest == digest) ?? false)
        {
            return true;
        }

        foreach (ManifestLink other in repositories.Manifests(repository).Where(m => MediaTypes.IsIndex(m.MediaType)))
        {
            if (content.SizeOf(other.Digest) is not null
                && (await ReadAsync(other.Digest, other.MediaType, cancellationToken))
                    .Children.Any(c => c.Digest == digest))
            {
                return true;
            }
        }

        return false;
    }
}
