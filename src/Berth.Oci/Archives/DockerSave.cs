using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Tar;

namespace Berth.Oci.Archives;

/// <summary>
/// What docker save wrote before it wrote OCI layouts: manifest.json names a configuration and layer files. It has no
/// manifests, so they are made here, which takes one reading of every layer for its digest.
/// </summary>
internal sealed class DockerSave : IArchiveForm
{
    private readonly IArchiveFiles files;
    private readonly Dictionary<Digest, string> blobs = [];
    private readonly Dictionary<string, Descriptor> known = [];
    private readonly Dictionary<Digest, ManifestContent> manifests = [];
    private readonly List<ArchivedImage> images = [];

    private DockerSave(IArchiveFiles files) => this.files = files;

    public IReadOnlyList<ArchivedImage> Images => images;

    internal static async Task<DockerSave?> TryOpenAsync(
        IArchiveFiles files, string what, CancellationToken cancellationToken)
    {
        if (await ImageArchive.ReadAsync(files, "manifest.json", cancellationToken) is not { } bytes)
        {
            return null;
        }

        try
        {
            var saved = new DockerSave(files);
            foreach (DockerSaveImage image in
                JsonSerializer.Deserialize(bytes, ArchiveJson.Default.IReadOnlyListDockerSaveImage) ?? [])
            {
                await saved.AddAsync(image, what, cancellationToken);
            }

            return saved;
        }
        catch (JsonException e)
        {
            string why = JsonComplaint.About(e, ArchiveJson.Default.IReadOnlyListDockerSaveImage);
            throw ImageArchive.Refuse(what, $"its manifest.json is not what docker save writes: {why}");
        }
    }

    public Task<ManifestContent> GetManifestAsync(Digest digest, CancellationToken cancellationToken) =>
        manifests.TryGetValue(digest, out ManifestContent? manifest)
            ? Task.FromResult(manifest)
            : throw new BerthException(ErrorCode.ImageNotFound, $"The archive lacks the image {digest}.");

    public Stream? OpenBlob(Digest digest) => blobs.TryGetValue(digest, out string? file) ? files.Open(file) : null;

    private async Task AddAsync(DockerSaveImage image, string what, CancellationToken cancellationToken)
    {
        if (image?.Config is null || image.Layers is null || image.Layers.Count > ImageConfigDocument.MaxLayers)
        {
            throw ImageArchive.Refuse(
                what, "an image in its manifest.json lacks a configuration or layers, or has too many");
        }

        Descriptor config = await DescribeAsync(image.Config, MediaTypes.OciConfig, what, cancellationToken);
        var layers = new List<Descriptor>();
        foreach (string layer in image.Layers)
        {
            layers.Add(await DescribeAsync(layer, null, what, cancellationToken));
        }

        var manifest = new ImageManifest(2, MediaTypes.OciManifest, config, layers);
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(manifest, OciJson.Default.ImageManifest);
        Digest digest = Digest.Sha256(bytes);
        manifests[digest] = new ManifestContent(digest, MediaTypes.OciManifest, bytes);
        images.AddRange(image.RepoTags is { Count: > 0 } tags
            ? tags.Select(name => new ArchivedImage(name, digest))
            : [new ArchivedImage(null, digest)]);
    }

    /// <summary>Reads a file of the archive for its digest; <paramref name="mediaType"/> null means a layer.</summary>
    private async Task<Descriptor> DescribeAsync(
        string file, string? mediaType, string what, CancellationToken cancellationToken)
    {
        if (known.TryGetValue(file, out Descriptor? descriptor))
        {
            return descriptor;
        }

        await using Stream stream = files.Open(file)
            ?? throw ImageArchive.Refuse(what, $"it lacks '{EntryPath.Quote(Encoding.UTF8.GetBytes(file))}'");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[256 * 1024];
        long size = 0;
        int count;
        while ((count = await stream.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (size == 0)
            {
                mediaType ??= LayerDecoder.MediaTypeOf(buffer.AsSpan(0, count));
            }

            hash.AppendData(buffer, 0, count);
            size += count;
        }

        Digest digest = Digest.FromHash("sha256", hash.GetCurrentHash());
        blobs[digest] = file;
        return known[file] = new Descriptor(mediaType ?? MediaTypes.OciLayer, digest.Text, size);
    }
}
