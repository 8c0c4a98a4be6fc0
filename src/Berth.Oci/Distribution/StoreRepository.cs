using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Repositories;

namespace Berth.Oci.Distribution;

/// <summary>
/// One repository of the local store, as the target of a pull and the origin of a push. What was put is held against
/// collection until this is disposed, because no manifest names it before the end.
/// </summary>
/// <param name="mayOverwrite">Whether a tag that exists may be given to another image.</param>
public sealed class StoreRepository(
    IContentStore store, RepositoryStore repositories, string repository, bool mayOverwrite = true)
    : IImageOrigin, IImageTarget, IDisposable
{
    private readonly List<IDisposable> leases = [];
    private readonly Lock gate = new();

    public async Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken)
    {
        ManifestLink link = repositories.FindManifest(repository, tagOrDigest)
            ?? throw new BerthException(
                ErrorCode.ImageNotFound, $"There is no image '{tagOrDigest}' in the repository '{repository}' here.");
        Hold(link.Digest);
        byte[] bytes = await BlobReading.ReadAsync(store, link.Digest, ManifestDocument.MaxBytes, cancellationToken);
        return new ManifestContent(link.Digest, link.MediaType, bytes);
    }

    public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        Hold(blob.Digest);
        return Task.FromResult(store.OpenRead(blob.Digest));
    }

    public Task<bool> HasBlobAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        Hold(blob.Digest);
        bool there = store.SizeOf(blob.Digest) == blob.Size;
        if (there)
        {
            repositories.LinkBlob(repository, blob.Digest);
        }

        return Task.FromResult(there);
    }

    public async Task PutBlobAsync(Descriptor blob, Stream content, CancellationToken cancellationToken)
    {
        Hold(blob.Digest);
        await WriteAsync(blob.Digest, content, cancellationToken);
        repositories.LinkBlob(repository, blob.Digest);
    }

    public async Task PutManifestAsync(ManifestContent manifest, string? tag, CancellationToken cancellationToken)
    {
        Hold(manifest.Digest);
        if (!mayOverwrite && tag is not null
            && repositories.FindTag(repository, tag) is { } tagged && tagged.Digest != manifest.Digest)
        {
            throw new BerthException(
                ErrorCode.Forbidden,
                $"There is another image {repository}:{tag} here, which this token may not replace: choose another "
                + "name, or use a token that may.");
        }

        await using var bytes = new MemoryStream(manifest.Bytes, writable: false);
        await WriteAsync(manifest.Digest, bytes, cancellationToken);
        repositories.PutManifest(repository, tag, manifest.Digest, manifest.Bytes.Length, manifest.Parse());
    }

    public void Dispose()
    {
        lock (gate)
        {
            leases.ForEach(l => l.Dispose());
            leases.Clear();
        }
    }

    private async Task WriteAsync(Digest digest, Stream source, CancellationToken cancellationToken)
    {
        await using IBlobWriter writer = store.BeginWrite();
        byte[] buffer = new byte[128 * 1024];
        int count;
        while ((count = await source.ReadAsync(buffer, cancellationToken)) > 0)
        {
            await writer.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
        }

        await writer.CommitAsync(digest, cancellationToken);
    }

    private void Hold(Digest digest)
    {
        lock (gate)
        {
            leases.Add(store.Lease(digest));
        }
    }
}
