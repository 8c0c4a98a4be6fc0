using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.IntegrationTests.Registry;

/// <summary>Writes small images as OCI image layouts, the folders that skopeo and buildah copy from.</summary>
internal static class LayoutImage
{
    /// <summary>Writes a layout with one image, or with an index of one image for each architecture.</summary>
    public static Task WriteAsync(string folder, string tag, params string[] architectures) =>
        WriteAsync(folder, tag, 200_000, architectures);

    /// <param name="bytes">Random bytes in the layer.</param>
    public static async Task WriteAsync(string folder, string tag, int bytes, params string[] architectures)
    {
        string blobs = Path.Combine(folder, "blobs/sha256");
        Directory.CreateDirectory(blobs);
        await File.WriteAllTextAsync(Path.Combine(folder, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");
        List<Descriptor> manifests = [];
        foreach (string architecture in architectures)
        {
            manifests.Add(await WriteImageAsync(blobs, architecture, bytes));
        }

        Descriptor root = manifests[0];
        if (manifests.Count > 1)
        {
            byte[] index = JsonSerializer.SerializeToUtf8Bytes(
                new ImageIndex(2, MediaTypes.OciIndex, manifests), OciJson.Default.ImageIndex);
            root = await WriteBlobAsync(blobs, index, MediaTypes.OciIndex);
        }

        Dictionary<string, string> name = new() { ["org.opencontainers.image.ref.name"] = tag };
        root = root with { Annotations = name };
        byte[] entry = JsonSerializer.SerializeToUtf8Bytes(
            new ImageIndex(2, MediaTypes.OciIndex, [root]), OciJson.Default.ImageIndex);
        await File.WriteAllBytesAsync(Path.Combine(folder, "index.json"), entry);
    }

    private static async Task<Descriptor> WriteImageAsync(string blobs, string architecture, int bytes)
    {
        byte[] data = RandomNumberGenerator.GetBytes(bytes);
        byte[] tar = Tar(("data", data), ("name", Encoding.UTF8.GetBytes(architecture)));
        Descriptor layer = await WriteBlobAsync(blobs, Compress(tar), MediaTypes.OciLayerGzip);
        ImageConfig config = new(
            architecture, "linux", new ContainerDefaults(Cmd: ["/data"]),
            new RootFs("layers", [Digest.Sha256(tar).Text]), "2026-01-02T03:04:05Z");
        Descriptor stored = await WriteBlobAsync(
            blobs, JsonSerializer.SerializeToUtf8Bytes(config, OciJson.Default.ImageConfig), MediaTypes.OciConfig);
        byte[] manifest = JsonSerializer.SerializeToUtf8Bytes(
            new ImageManifest(2, MediaTypes.OciManifest, stored, [layer]), OciJson.Default.ImageManifest);
        return await WriteBlobAsync(blobs, manifest, MediaTypes.OciManifest) with
        {
            Platform = new Platform(architecture, "linux"),
        };
    }

    private static async Task<Descriptor> WriteBlobAsync(string blobs, byte[] content, string mediaType)
    {
        Digest digest = Digest.Sha256(content);
        await File.WriteAllBytesAsync(Path.Combine(blobs, digest.Hex), content);
        return new Descriptor(mediaType, digest.Text, content.Length);
    }

    private static byte[] Tar(params (string Name, byte[] Content)[] files)
    {
        using MemoryStream stream = new();
        using (TarWriter writer = new(stream, TarEntryFormat.Ustar, leaveOpen: true))
        {
            foreach ((string name, byte[] content) in files)
            {
                UstarTarEntry entry = new(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content) };
                writer.WriteEntry(entry);
            }
        }

        return stream.ToArray();
    }

    private static byte[] Compress(byte[] content)
    {
        using MemoryStream stream = new();
        using (GZipStream gzip = new(stream, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(content);
        }

        return stream.ToArray();
    }
}
