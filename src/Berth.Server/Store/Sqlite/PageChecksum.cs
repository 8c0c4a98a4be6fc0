using System.Runtime.InteropServices;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// The 64 bits that SQLite puts over frames of its write-ahead log (sqlite.org/fileformat2.html#checksum_algorithm) and
/// its checksum extension into the last eight bytes of every page (sqlite.org/cksumvfs.html). The words are
/// little-endian, as on every machine that Berth runs on.
/// </summary>
internal static class PageChecksum
{
    public const int Bytes = 8;

    public static (uint First, uint Second) Of(ReadOnlySpan<byte> content, (uint First, uint Second) start = default)
    {
        (uint first, uint second) = start;
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(content);
        for (int i = 0; i + 1 < words.Length; i += 2)
        {
            first += words[i] + second;
            second += words[i + 1] + first;
        }

        return (first, second);
    }

    /// <summary>Writes the checksum of a page into its end.</summary>
    public static void Seal(Span<byte> page)
    {
        Span<uint> place = MemoryMarshal.Cast<byte, uint>(page[^Bytes..]);
        (place[0], place[1]) = Of(page[..^Bytes]);
    }

    /// <summary>Whether a page is as it was sealed. One of zeros alone is: SQLite writes such, for pages that it gives
    /// back before they are used, and for the ends of long values of zeros.</summary>
    public static bool IsWhole(ReadOnlySpan<byte> page)
    {
        ReadOnlySpan<uint> place = MemoryMarshal.Cast<byte, uint>(page[^Bytes..]);
        return Of(page[..^Bytes]) == (place[0], place[1]);
    }
}
