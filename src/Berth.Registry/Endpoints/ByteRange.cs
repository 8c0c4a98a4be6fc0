using System.Globalization;

namespace Berth.Registry.Endpoints;

/// <summary>A range of bytes as asked for in a <c>Range</c> header (RFC 9110 section 14), both ends included.</summary>
internal readonly record struct ByteRange(long First, long Last, bool IsSatisfiable)
{
    public long Length => Last - First + 1;

    /// <summary>
    /// The range asked for; null to send everything: no header, another unit, or several ranges at once, which a server
    /// may ignore. Nonsense such as a reversed range is not satisfiable.
    /// </summary>
    public static ByteRange? Parse(string header, long size)
    {
        if (!header.StartsWith("bytes=", StringComparison.OrdinalIgnoreCase)
            || header.Contains(',', StringComparison.Ordinal))
        {
            return null;
        }

        string range = header["bytes=".Length..].Trim();
        int dash = range.IndexOf('-', StringComparison.Ordinal);
        if (dash < 0)
        {
            return default(ByteRange);
        }

        bool hasFirst = TryParse(range[..dash], out long first);
        bool hasLast = TryParse(range[(dash + 1)..], out long last);
        if (dash == 0)
        {
            return hasLast && last > 0 && size > 0
                ? new ByteRange(Math.Max(0, size - last), size - 1, true)
                : default(ByteRange);
        }

        if (!hasFirst || first >= size || (!hasLast && dash < range.Length - 1))
        {
            return default(ByteRange);
        }

        last = hasLast ? Math.Min(last, size - 1) : size - 1;
        return last >= first ? new ByteRange(first, last, true) : default(ByteRange);
    }

    private static bool TryParse(string text, out long value) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
