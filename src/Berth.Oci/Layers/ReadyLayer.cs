using System.Globalization;
using Berth.Core.Images;

namespace Berth.Oci.Layers;

/// <summary>
/// An unpacked layer and the blobs that were found to hold exactly it. A diff id is only what an image says of its
/// blob, so a blob that is not on this list may hold anything. The list is kept in the layer's mark, a line each:
/// the blob's digest and the bytes of the layer's archive.
/// </summary>
internal sealed class ReadyLayer(DateTimeOffset usedAt)
{
    /// <summary>One layer is compressed in a few ways; past this the oldest are forgotten and checked anew.</summary>
    private const int MaxBlobs = 64;

    private readonly List<Digest> blobs = [];

    internal DateTimeOffset UsedAt { get; set; } = usedAt;

    /// <summary>Whether the disk has all of it and a mark says so.</summary>
    internal bool IsMarked { get; set; }

    /// <summary>Bytes of the layer's archive, uncompressed; null until a blob of it was read here.</summary>
    internal long? Length { get; private set; }

    internal bool IsHeldBy(Digest blob) => blobs.Contains(blob);

    internal void Add(Digest blob, long length)
    {
        Length = length;
        if (!blobs.Contains(blob))
        {
            blobs.Add(blob);
            if (blobs.Count > MaxBlobs)
            {
                blobs.RemoveAt(0);
            }
        }
    }

    internal string ToText() => string.Concat(blobs.Select(b => string.Create(
        CultureInfo.InvariantCulture, $"{b} {Length}\n")));

    /// <summary>Reads a mark; a line that is not whole is left out, as if its blob had never been seen.</summary>
    internal static ReadyLayer Parse(string text, DateTimeOffset usedAt)
    {
        var layer = new ReadyLayer(usedAt) { IsMarked = true };
        foreach (string line in text.Split('\n')[..^1])
        {
            if (line.Split(' ') is [string blob, string length] && Digest.TryParse(blob, out Digest digest)
                && long.TryParse(length, NumberStyles.None, CultureInfo.InvariantCulture, out long bytes))
            {
                layer.Add(digest, bytes);
            }
        }

        return layer;
    }
}
