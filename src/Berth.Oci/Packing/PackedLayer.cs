using System.IO.Compression;
using System.Security.Cryptography;
using Berth.Core.Images;
using Berth.Core.Streams;
using Berth.Oci.Images;

namespace Berth.Oci.Packing;

/// <summary>A folder as a compressed layer in a temporary file, which disposing removes.</summary>
/// <param name="Bytes">Bytes of the files, uncompressed.</param>
public sealed record PackedLayer(
    Descriptor Layer, Digest DiffId, long Bytes, int Entries, string FilePath) : IDisposable
{
    /// <summary>
    /// Packs a folder. The same content, names and modes give the same layer on every machine with the same .NET
    /// version. Throws BerthException(InvalidRequest) naming a socket, device, fifo, or file that changed meanwhile.
    /// </summary>
    public static async Task<PackedLayer> CreateAsync(
        PackOptions options, string temporaryFolder, Action<long>? progress, CancellationToken cancellationToken)
    {
        string path = Path.Combine(temporaryFolder, $".layer-{Path.GetRandomFileName()}");
        try
        {
            return await Task.Run(() => Create(options, path, progress, cancellationToken), cancellationToken);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    public Stream OpenRead() =>
        new FileStream(FilePath, FileMode.Open, FileAccess.Read, FileShare.Read, 0, useAsync: false);

    public void Dispose() => File.Delete(FilePath);

    private static PackedLayer Create(
        PackOptions options, string path, Action<long>? progress, CancellationToken cancellationToken)
    {
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 256 * 1024);
        using var compressed = new HashingStream(file);
        FolderWriter writer;
        Digest diffId;
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        using (var plain = new HashingStream(gzip))
        {
            writer = new FolderWriter(plain, options, progress, cancellationToken);
            writer.Write();
            diffId = plain.Finish();
        }

        Digest digest = compressed.Finish();
        file.Flush();
        var layer = new Descriptor(MediaTypes.OciLayerGzip, digest.Text, compressed.Written);
        return new PackedLayer(layer, diffId, writer.Bytes, writer.Entries, path);
    }

    /// <summary>Passes bytes on and hashes them.</summary>
    private sealed class HashingStream(Stream target) : SequentialStream
    {
        private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        internal long Written { get; private set; }

        public override bool CanWrite => true;

        internal Digest Finish() => Digest.FromHash("sha256", hash.GetCurrentHash());

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            hash.AppendData(buffer);
            target.Write(buffer);
            Written += buffer.Length;
        }

        public override void Flush() => target.Flush();

        protected override void Dispose(bool disposing)
        {
            hash.Dispose();
            base.Dispose(disposing);
        }
    }
}
