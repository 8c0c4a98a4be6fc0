using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Tar;

namespace Berth.Oci.Archives;

/// <summary>
/// Writes an image archive as one tar stream: an OCI layout that also has docker's manifest.json, so that both
/// <c>skopeo copy oci-archive:</c> and <c>docker load</c> read it. The archive is complete only after
/// <see cref="CompleteAsync"/>; when anything fails before, what was written is worthless.
/// </summary>
/// <param name="output">Takes the archive; stays open.</param>
/// <param name="repository">What docker is to call the images, for instance <c>demo/app</c>.</param>
public sealed class LayoutArchiveWriter(Stream output, string repository) : IImageTarget, IDisposable
{
    // One entry after the other, whoever copies in parallel.
    private readonly SemaphoreSlim turn = new(1);
    private readonly HashSet<Digest> written = [];
    private readonly List<Descriptor> named = [];
    private readonly List<DockerSaveImage> dockerImages = [];
    private bool begun;

    public async Task<bool> HasBlobAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        await turn.WaitAsync(cancellationToken);
        try
        {
            return written.Contains(blob.Digest);
        }
        finally
        {
            turn.Release();
        }
    }

    public async Task PutBlobAsync(Descriptor blob, Stream content, CancellationToken cancellationToken)
    {
        await turn.WaitAsync(cancellationToken);
        try
        {
            await BeginAsync(cancellationToken);
            if (written.Add(blob.Digest))
            {
                await WriteBlobAsync(blob, content, cancellationToken);
            }
        }
        finally
        {
            turn.Release();
        }
    }

    public async Task PutManifestAsync(ManifestContent manifest, string? tag, CancellationToken cancellationToken)
    {
        var descriptor = new Descriptor(manifest.MediaType, manifest.Digest.Text, manifest.Bytes.Length);
        await using var bytes = new MemoryStream(manifest.Bytes, writable: false);
        await PutBlobAsync(descriptor, bytes, cancellationToken);
        if (tag is null)
        {
            return;
        }

        string name = $"{repository}:{tag}";
        named.Add(descriptor with
        {
            Annotations = new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                [OciLayout.ContainerdName] = name,
                [OciLayout.RefName] = tag,
            },
        });
        if (manifest.Parse().Manifest is { } image && MediaTypes.IsImageConfig(image.Config.MediaType))
        {
            dockerImages.Add(new DockerSaveImage(
                OciLayout.BlobPath(image.Config.Digest), [name],
                [.. image.Layers.Select(l => OciLayout.BlobPath(l.Digest))]));
        }
    }

    /// <summary>Writes the indexes and the end of the archive.</summary>
    public async Task CompleteAsync(CancellationToken cancellationToken)
    {
        await BeginAsync(cancellationToken);
        var index = new ImageIndex(2, MediaTypes.OciIndex, named);
        await WriteFileAsync(
            "index.json", JsonSerializer.SerializeToUtf8Bytes(index, ArchiveJson.Default.ImageIndex),
            cancellationToken);
        await WriteFileAsync(
            "manifest.json",
            JsonSerializer.SerializeToUtf8Bytes(dockerImages, ArchiveJson.Default.IReadOnlyListDockerSaveImage),
            cancellationToken);
        await output.WriteAsync(TarHeaderWriter.End, cancellationToken);
        await output.FlushAsync(cancellationToken);
    }

    public void Dispose() => turn.Dispose();

    private async Task BeginAsync(CancellationToken cancellationToken)
    {
        if (begun)
        {
            return;
        }

        begun = true;
        byte[] version = JsonSerializer.SerializeToUtf8Bytes(
            new LayoutVersion("1.0.0"), ArchiveJson.Default.LayoutVersion);
        await WriteFileAsync("oci-layout", version, cancellationToken);
        foreach (string folder in (string[])["blobs/", "blobs/sha256/"])
        {
            await WriteHeaderAsync(TarEntryKind.Folder, folder, 0b111_101_101, 0, cancellationToken);
        }
    }

    private async Task WriteBlobAsync(Descriptor blob, Stream content, CancellationToken cancellationToken)
    {
        await WriteHeaderAsync(
            TarEntryKind.File, OciLayout.BlobPath(blob.Digest), 0b110_100_100, blob.Size, cancellationToken);
        using IncrementalHash hash = blob.Digest.CreateHash();
        byte[] buffer = new byte[256 * 1024];
        long left = blob.Size;
        int count;
        while ((count = await content.ReadAsync(buffer, cancellationToken)) > 0 && (left -= count) >= 0)
        {
            hash.AppendData(buffer, 0, count);
            await output.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
        }

        Digest found = Digest.FromHash(blob.Digest.Algorithm, hash.GetCurrentHash());
        if (left != 0 || found != blob.Digest)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The blob {blob.Digest} of {blob.Size} bytes turned out to be other content.");
        }

        await output.WriteAsync(new byte[TarHeaderWriter.Padding(blob.Size)], cancellationToken);
    }

    private async Task WriteFileAsync(string name, byte[] bytes, CancellationToken cancellationToken)
    {
        await WriteHeaderAsync(TarEntryKind.File, name, 0b110_100_100, bytes.Length, cancellationToken);
        await output.WriteAsync(bytes, cancellationToken);
        await output.WriteAsync(new byte[TarHeaderWriter.Padding(bytes.Length)], cancellationToken);
    }

    private async Task WriteHeaderAsync(
        TarEntryKind kind, string name, uint mode, long size, CancellationToken cancellationToken)
    {
        var entry = new TarEntry(kind, Encoding.UTF8.GetBytes(name), [], mode, 0, 0, size, 0, 0, 0, 0, []);
        await output.WriteAsync(TarHeaderWriter.Format(entry), cancellationToken);
    }
}
