using System.IO.Compression;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Unix;

namespace Berth.Testing.Layers;

/// <summary>A layer store over a real content store in a folder of its own.</summary>
public sealed class LayerRig : IAsyncDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("berth-layers-").FullName;

    public LayerRig(LayerLimits? limits = null)
    {
        Content = new ContentStore(Path.Combine(folder, "blobs"), TimeProvider.System);
        Limits = limits ?? LayerLimits.Default;
        Store = new LayerStore(Content, LayersFolder, Limits, TimeProvider.System);
    }

    public ContentStore Content { get; }

    public LayerLimits Limits { get; }

    public LayerStore Store { get; private set; }

    public string Folder => folder;

    public string LayersFolder => Path.Combine(folder, "layers");

    /// <summary>What is in the store's folder but complete layers and their marks.</summary>
    public IEnumerable<string> Leftovers => Directory.EnumerateFileSystemEntries(LayersFolder, ".tmp-*");

    /// <summary>Stores a blob and describes it as a layer.</summary>
    public async Task<Descriptor> PutAsync(byte[] blob, CancellationToken cancellationToken)
    {
        await using IBlobWriter writer = Content.BeginWrite();
        await writer.WriteAsync(blob, cancellationToken);
        Digest digest = await writer.CommitAsync(null, cancellationToken);
        return new Descriptor(MediaTypes.OciLayer, digest.Text, blob.Length);
    }

    /// <summary>Stores a blob piece by piece.</summary>
    public async Task<Digest> PutAsync(Stream content, CancellationToken cancellationToken)
    {
        await using IBlobWriter writer = Content.BeginWrite();
        byte[] block = new byte[64 * 1024];
        int count;
        while ((count = await content.ReadAsync(block, cancellationToken)) > 0)
        {
            await writer.WriteAsync(block.AsMemory(0, count), cancellationToken);
        }

        return await writer.CommitAsync(null, cancellationToken);
    }

    /// <summary>Unpacks a plain tar and returns its folder.</summary>
    public async Task<string> UnpackAsync(byte[] tar, CancellationToken cancellationToken) =>
        await Store.EnsureUnpackedAsync(await PutAsync(tar, cancellationToken), Digest.Sha256(tar), cancellationToken);

    /// <summary>What a server that starts over this folder sees.</summary>
    public async Task ReopenAsync()
    {
        await Store.DisposeAsync();
        Store = new LayerStore(Content, LayersFolder, Limits, TimeProvider.System);
    }

    public static byte[] Gzip(byte[] bytes)
    {
        var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal))
        {
            gzip.Write(bytes);
        }

        return compressed.ToArray();
    }

    public async ValueTask DisposeAsync()
    {
        await Store.DisposeAsync();
        FolderRemoval.Remove(folder);
    }
}
