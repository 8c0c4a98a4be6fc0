using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;

namespace Berth.Oci.Archives;

/// <summary>An OCI image layout (image-layout.md): index.json names manifests, blobs lie below blobs/.</summary>
internal sealed class OciLayout : IArchiveForm
{
    /// <summary>The annotation that names an image in a layout (annotations.md).</summary>
    internal const string RefName = "org.opencontainers.image.ref.name";

    /// <summary>Where containerd and newer docker save put the whole reference.</summary>
    internal const string ContainerdName = "io.containerd.image.name";

    private readonly IArchiveFiles files;

    private OciLayout(IArchiveFiles files, IReadOnlyList<ArchivedImage> images)
    {
        this.files = files;
        Images = images;
    }

    public IReadOnlyList<ArchivedImage> Images { get; }

    internal static string BlobPath(Digest digest) => $"blobs/{digest.Algorithm}/{digest.Hex}";

    internal static async Task<OciLayout?> TryOpenAsync(
        IArchiveFiles files, string what, CancellationToken cancellationToken)
    {
        if (await ImageArchive.ReadAsync(files, "index.json", cancellationToken) is not { } bytes)
        {
            return null;
        }

        ImageIndex index;
        try
        {
            index = ManifestDocument.Parse(bytes, null).Index
                ?? throw ImageArchive.Refuse(what, "its index.json is no index");
        }
        catch (BerthException e) when (e.Code == ErrorCode.ManifestInvalid)
        {
            throw ImageArchive.Refuse(what, $"its index.json can't be used: {e.Message}");
        }

        return new OciLayout(files, [.. index.Manifests.Select(m => new ArchivedImage(NameOf(m), m.Digest))]);
    }

    public async Task<ManifestContent> GetManifestAsync(Digest digest, CancellationToken cancellationToken)
    {
        byte[] bytes = await ImageArchive.ReadAsync(files, BlobPath(digest), cancellationToken)
            ?? throw new BerthException(ErrorCode.ImageNotFound, $"The archive lacks the manifest {digest}.");
        BlobReading.Verify(bytes, digest);
        return new ManifestContent(digest, ManifestDocument.Parse(bytes, null).MediaType, bytes);
    }

    public Stream? OpenBlob(Digest digest) => files.Open(BlobPath(digest));

    private static string? NameOf(Descriptor manifest) =>
        manifest.Annotations?.GetValueOrDefault(ContainerdName) ?? manifest.Annotations?.GetValueOrDefault(RefName);
}
