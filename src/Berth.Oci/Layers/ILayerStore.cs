using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Layers;

/// <summary>
/// Layers unpacked into folders, one per diff id, made once and shared read-only by every sandbox. An unpacked layer is
/// whole or absent (unpacked into a temporary folder, then renamed).
/// </summary>
public interface ILayerStore
{
    /// <summary>
    /// The folder of the unpacked layer, unpacking the blob if need be. Callers asking for the same layer share one
    /// unpacking. Throws BerthException: <c>ArchiveRefused</c> naming the entry and the rule, <c>DigestMismatch</c>
    /// when the content has another diff id than <paramref name="diffId"/>, <c>BlobUnknown</c>.
    /// </summary>
    Task<string> EnsureUnpackedAsync(Descriptor layer, Digest diffId, CancellationToken cancellationToken);

    /// <summary>The folder if the layer is unpacked already.</summary>
    string? PathOf(Digest diffId);

    /// <summary>Keeps layers from being collected until disposed; they may be named before they are unpacked.</summary>
    IDisposable Hold(params IEnumerable<Digest> diffIds);
}

/// <summary>Finds images for the executor.</summary>
public interface IImageSource
{
    /// <summary>
    /// Opens an image by the digest of its manifest (an index is resolved to this machine's platform), its layers
    /// unpacked, and holds all of it against collection until disposed. Throws BerthException(ImageNotFound).
    /// </summary>
    Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken);
}
