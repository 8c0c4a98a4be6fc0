using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Berth.Core.Networks;

/// <summary>How another machine is spoken to in secret: what its packets are encrypted for, and where they go. Written
/// as <c>BASE64:PORT</c>.</summary>
/// <param name="Public">32 bytes (RFC 7748, section 5) in base64.</param>
/// <param name="Port">UDP.</param>
public sealed record PeerKey(string Public, int Port)
{
    /// <summary>Bytes of a key, public or private.</summary>
    public const int Length = 32;

    public byte[] PublicBytes() => Convert.FromBase64String(Public);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Public}:{Port}");

    public static bool TryParse(string? text, [NotNullWhen(true)] out PeerKey? key)
    {
        key = null;
        Span<byte> bytes = stackalloc byte[Length + 1];
        if (text?.Split(':') is not [var encoded, var number] || encoded.Length != 44
            || !Convert.TryFromBase64String(encoded, bytes, out int written) || written != Length
            || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            || port is < 1 or > ushort.MaxValue)
        {
            return false;
        }

        // Written anew, so that one key has one form.
        key = new PeerKey(Convert.ToBase64String(bytes[..Length]), port);
        return true;
    }
}
