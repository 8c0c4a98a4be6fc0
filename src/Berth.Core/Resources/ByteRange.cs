using System.Globalization;

namespace Berth.Core.Resources;

/// <summary>
/// The part of some content that a <c>Range</c> header asks for (RFC 9110 section 14), both ends included. One range
/// of bytes is understood; what the header may ask beyond that is answered with the whole, as the RFC allows.
/// </summary>
public readonly record struct ByteRange(long First, long Last, bool IsSatisfiable)
{
    private const string Unit = "bytes";

    private static ByteRange Unsatisfiable => default;

    public long Length => Last - First + 1;

    /// <summary>
    /// The range asked for of <paramref name="size"/> bytes. Null is the whole: no header, another unit, several ranges
    /// at once, or the end of nothing. A malformed or reversed range is not satisfiable, rather than everything for
    /// somebody who asked for a part.
    /// </summary>
    public static ByteRange? Parse(string header, long size)
    {
        int equals = header.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0 || !header.AsSpan(0, equals).Equals(Unit, StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        // A list may have empty elements (section 5.6.1.2).
        string[] specs = header[(equals + 1)..].Split(
            ',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return specs.Length > 1 ? null : specs is [string spec] ? ParseOne(spec, size) : Unsatisfiable;
    }

    private static ByteRange? ParseOne(string spec, long size)
    {
        int dash = spec.IndexOf('-', StringComparison.Ordinal);
        if (dash < 0
            || !TryParse(spec.AsSpan(0, dash), out long? first) || !TryParse(spec.AsSpan(dash + 1), out long? last))
        {
            return Unsatisfiable;
        }

        if (first is null)
        {
            return last is not > 0 ? Unsatisfiable
                : size == 0 ? null
                : new ByteRange(Math.Max(0, size - last.Value), size - 1, true);
        }

        return first >= size || last < first
            ? Unsatisfiable
            : new ByteRange(first.Value, Math.Min(last ?? long.MaxValue, size - 1), true);
    }

    /// <summary>Reads a position: null where there is none, and the highest number for one that is higher still, since
    /// it has no largest digit (section 14.1.1).</summary>
    private static bool TryParse(ReadOnlySpan<char> text, out long? value)
    {
        value = null;
        if (text.ContainsAnyExceptInRange('0', '9'))
        {
            return false;
        }

        if (!text.IsEmpty)
        {
            value = long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
                ? number
                : long.MaxValue;
        }

        return true;
    }
}
