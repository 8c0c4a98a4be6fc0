using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>A manifest or index, its bytes untouched.</summary>
public sealed record ManifestContent(Digest Digest, string MediaType, byte[] Bytes)
{
    /// <summary>Reads and checks the document. Throws BerthException(ManifestInvalid).</summary>
    public ManifestDocument Parse() => ManifestDocument.Parse(Bytes, MediaType);
}

/// <summary>Where images are copied from: one repository of a registry, an archive, the local store.</summary>
public interface IImageOrigin
{
    /// <summary>
    /// The manifest that a tag or digest names; by digest, its content
    /// is verified. Throws BerthException(ImageNotFound).
    /// </summary>
    Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken);

    /// <summary>
    /// Opens a blob from its start. The content is not verified: whoever writes it down
    /// does that. Throws BerthException(BlobUnknown).
    /// </summary>
    Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken);
}

/// <summary>Where images are copied to. Blobs come before the manifests that name them.</summary>
public interface IImageTarget
{
    /// <summary>Whether the blob is there, so that it need not be sent.</summary>
    Task<bool> HasBlobAsync(Descriptor blob, CancellationToken cancellationToken);

    /// <summary>
    /// Takes a blob, all or nothing. Throws BerthException(DigestMismatch) when the content is another than the
    /// descriptor says. May be called for several blobs at a time.
    /// </summary>
    Task PutBlobAsync(Descriptor blob, Stream content, CancellationToken cancellationToken);

    /// <summary>Takes a manifest and, with <paramref name="tag"/>, names it.</summary>
    Task PutManifestAsync(ManifestContent manifest, string? tag, CancellationToken cancellationToken);
}
