using System.Text;

namespace Berth.Server.Calls;

/// <summary>Percent-encoding of option values (RFC 3986, section 2.1), by which any text but NUL fits in a header. A
/// <c>+</c> is a plus.</summary>
internal static class PercentText
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>
    /// Decodes; throws <c>InvalidRequest</c> naming the header where the encoding or the text is not valid.
    /// </summary>
    public static string Decode(string header, string value)
    {
        if (!value.Contains('%', StringComparison.Ordinal))
        {
            return value;
        }

        byte[] bytes = new byte[StrictUtf8.GetMaxByteCount(value.Length)];
        int length = 0;
        for (int i = 0; i < value.Length;)
        {
            if (value[i] != '%')
            {
                int plain = value.AsSpan(i).IndexOf('%') is >= 0 and int next ? next : value.Length - i;
                length += StrictUtf8.GetBytes(value.AsSpan(i, plain), bytes.AsSpan(length));
                i += plain;
                continue;
            }

            if (i + 2 >= value.Length || !char.IsAsciiHexDigit(value[i + 1]) || !char.IsAsciiHexDigit(value[i + 2]))
            {
                throw OptionHeaders.Refuse(
                    header, value, "'%' must be followed by two hexadecimal digits; write %25 for a percent sign");
            }

            bytes[length++] = Convert.FromHexString(value.AsSpan(i + 1, 2))[0];
            i += 3;
        }

        return ToText(header, value, bytes.AsSpan(0, length));
    }

    private static string ToText(string header, string value, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Contains((byte)0))
        {
            throw OptionHeaders.Refuse(header, value, "no argument or variable may hold the character NUL");
        }

        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw OptionHeaders.Refuse(header, value, "it does not decode to UTF-8");
        }
    }
}
