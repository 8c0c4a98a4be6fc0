using System.Globalization;

namespace Berth.Registry.Endpoints;

/// <summary>
/// Where a chunk belongs: <c>0-1023</c> as the distribution specification writes it, or <c>bytes 0-1023/*</c> as HTTP
/// does. Both ends included; their count fits a number.
/// </summary>
internal readonly record struct ContentRange(long First, long Last)
{
    public long Length => Last - First + 1;

    public static bool TryParse(string header, out ContentRange range)
    {
        range = default;
        string text = header.Trim();
        if (text.StartsWith("bytes", StringComparison.OrdinalIgnoreCase))
        {
            text = text["bytes".Length..].TrimStart(' ', '=');
        }

        int slash = text.IndexOf('/', StringComparison.Ordinal);
        text = slash < 0 ? text : text[..slash];
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash <= 0
            || !long.TryParse(text[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out long first)
            || !long.TryParse(text[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out long last)
            || last < first || last == long.MaxValue)
        {
            return false;
        }

        range = new ContentRange(first, last);
        return true;
    }
}
