using System.Net;
using System.Net.Sockets;

namespace Berth.Api.Links;

/// <summary>Where a node offers its layers to others.</summary>
/// <param name="Address">IP address and port.</param>
/// <param name="Fingerprint">SHA-256 of the certificate that is shown there, lower-case hexadecimal.</param>
public sealed record LayerOffer(string Address, string Fingerprint)
{
    private const int LongestAddress = 64;
    private const int FingerprintLength = 64;

    /// <summary>Where others dial; null where the offer is none that can be used.</summary>
    public IPEndPoint? Read() => Fingerprint is { Length: FingerprintLength }
        && Fingerprint.All(char.IsAsciiHexDigitLower) ? ReadAddress(Address) : null;

    /// <summary>An address and port that others can dial, with no name in it; null for anything else.</summary>
    public static IPEndPoint? ReadAddress(string? text) =>
        text is { Length: <= LongestAddress } && IPEndPoint.TryParse(text, out IPEndPoint? place)
            && place.Port > 0 && IsOfOneMachine(place.Address)
            ? place
            : null;

    private static bool IsOfOneMachine(IPAddress address) => address.AddressFamily switch
    {
        AddressFamily.InterNetwork => address.GetAddressBytes()[0] is > 0 and < 224,
        AddressFamily.InterNetworkV6 =>
            !address.IsIPv6Multicast && !address.IsIPv6LinkLocal && !address.IsIPv4MappedToIPv6
            && address.ScopeId == 0 && !address.Equals(IPAddress.IPv6Any),
        _ => false,
    };
}
