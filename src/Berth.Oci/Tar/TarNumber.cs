using System.Buffers.Binary;
using System.Buffers.Text;
using Berth.Core.Errors;

namespace Berth.Oci.Tar;

/// <summary>Numbers as tar writes them: octal text, GNU's base-256 for large ones, and pax's decimal text.</summary>
internal static class TarNumber
{
    /// <summary>Reads a header field; blank is 0. Throws BerthException(ArchiveRefused) naming the field.</summary>
    internal static long Parse(ReadOnlySpan<byte> field, string name)
    {
        if ((field[0] & 0x80) != 0)
        {
            return ParseBase256(field, name);
        }

        ReadOnlySpan<byte> digits = field.Trim(" \0"u8);
        long value = 0;
        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'7' || value > long.MaxValue >> 3)
            {
                throw Refuse(name, field);
            }

            value = (value << 3) | (uint)(digit - '0');
        }

        return value;
    }

    /// <summary>Reads a pax value that is a whole number of zero or more.</summary>
    internal static long ParseDecimal(ReadOnlySpan<byte> text, string name) =>
        !text.IsEmpty && !text.ContainsAnyExcept("0123456789"u8)
        && Utf8Parser.TryParse(text, out long value, out int used) && used == text.Length
            ? value
            : throw Refuse(name, text);

    /// <summary>Reads a pax time: seconds with an optional fraction, possibly negative.</summary>
    internal static (long Seconds, int Nanoseconds) ParseTime(ReadOnlySpan<byte> text, string name)
    {
        int point = text.IndexOf((byte)'.');
        ReadOnlySpan<byte> whole = point < 0 ? text : text[..point];
        ReadOnlySpan<byte> fraction = point < 0 ? default : text[(point + 1)..];
        if (!Utf8Parser.TryParse(whole, out long seconds, out int used) || used != whole.Length
            || fraction.ContainsAnyExcept("0123456789"u8))
        {
            throw Refuse(name, text);
        }

        int nanoseconds = 0;
        for (int i = 0; i < 9; i++)
        {
            nanoseconds = (nanoseconds * 10) + (i < fraction.Length ? fraction[i] - '0' : 0);
        }

        return whole[0] == '-' && nanoseconds > 0 ? (seconds - 1, 1_000_000_000 - nanoseconds) : (seconds, nanoseconds);
    }

    private static long ParseBase256(ReadOnlySpan<byte> field, string name)
    {
        // Two's complement, big endian; the first bit only marks the form. Anything past 63 bits is a lie.
        bool negative = field[0] == 0xff;
        ReadOnlySpan<byte> high = field[..^8].IsEmpty ? [] : field[..^8];
        long low = BinaryPrimitives.ReadInt64BigEndian(field[^8..]);
        if (high.IsEmpty)
        {
            // The 8-byte fields (mode, uid, gid): the marker stands in the value's own first byte.
            return negative ? low : low & 0x7fff_ffff_ffff_ffff;
        }

        bool plain = negative
            ? !high.ContainsAnyExcept((byte)0xff) && low < 0
            : high[0] == 0x80 && !high[1..].ContainsAnyExcept((byte)0) && low >= 0;
        return plain ? low : throw Refuse(name, field);
    }

    private static BerthException Refuse(string name, ReadOnlySpan<byte> field) => new(
        ErrorCode.ArchiveRefused,
        $"The archive was refused: '{EntryPath.Quote(field)}' is no valid {name} in a tar header.");
}
