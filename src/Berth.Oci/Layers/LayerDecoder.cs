using Berth.Core.Streams;
using Berth.Oci.Content;
using Berth.Oci.Images;

namespace Berth.Oci.Layers;

/// <summary>
/// Turns a layer's blob into a plain tar stream. The content's first bytes decide, not the media type: clients get that
/// wrong, and the diff id proves the outcome either way.
/// </summary>
internal static class LayerDecoder
{
    /// <summary>Opens the uncompressed view of <paramref name="blob"/> and takes it over.</summary>
    internal static Stream Open(Stream blob)
    {
        var source = new LayerBlobStream(blob);
        return MediaTypeOf(source.Peek()) switch
        {
            MediaTypes.OciLayerGzip => new GzipLayerStream(source),
            MediaTypes.OciLayerZstd => new ZstdStream(source),
            _ => source,
        };
    }

    internal static bool IsCompressed(ReadOnlySpan<byte> start) => MediaTypeOf(start) != MediaTypes.OciLayer;

    /// <summary>
    /// What a layer that begins so is: gzip (RFC 1952), zstd or a skippable zstd frame (RFC 8878), else plain tar.
    /// </summary>
    internal static string MediaTypeOf(ReadOnlySpan<byte> start) => start switch
    {
        [0x1f, 0x8b, ..] => MediaTypes.OciLayerGzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] or [>= 0x50 and <= 0x5f, 0x2a, 0x4d, 0x18, ..] => MediaTypes.OciLayerZstd,
        _ => MediaTypes.OciLayer,
    };
}

/// <summary>
/// Reads a blob in large steps, because the decompressors ask for small ones, and lets its start be seen.
/// </summary>
internal sealed class LayerBlobStream(Stream blob) : SequentialStream
{
    private readonly byte[] buffer = new byte[256 * 1024];
    private int at;
    private int end;

    public override bool CanRead => true;

    /// <summary>The first bytes, four unless there are fewer, without taking them.</summary>
    internal ReadOnlySpan<byte> Peek()
    {
        end = blob.ReadAtLeast(buffer, 4, throwOnEndOfStream: false);
        return buffer.AsSpan(0, Math.Min(4, end));
    }

    public override int Read(Span<byte> target)
    {
        if (at == end)
        {
            at = 0;
            end = blob.Read(buffer);
        }

        int count = Math.Min(target.Length, end - at);
        buffer.AsSpan(at, count).CopyTo(target);
        at += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            blob.Dispose();
        }

        base.Dispose(disposing);
    }
}
