using System.Net;
using System.Net.Sockets;

namespace Berth.Core.Callbacks;

/// <summary>
/// Which addresses a request may go to when its target came from outside: public unicast addresses only, so that a
/// callback can't be turned into a request from inside (SSRF). Decided on the address that is connected to, never on a
/// name. The operator's networks win over the refusal.
/// </summary>
public sealed class AddressPolicy(IReadOnlyList<IPNetwork> allowed)
{
    // IANA special-purpose address registries (RFC 6890 and successors), plus multicast and the reserved rest.
    private static readonly IPNetwork[] Special =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2620:4f:8000::/48",
            "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        }.Select(IPNetwork.Parse),
    ];

    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");
    private static readonly IPNetwork SixToFour = IPNetwork.Parse("2002::/16");
    private static readonly IPNetwork Compatible = IPNetwork.Parse("::/96");

    /// <summary>The rule for a server whose operator allows nothing internal.</summary>
    public static AddressPolicy PublicOnly { get; } = new([]);

    public bool Allows(IPAddress address)
    {
        IPAddress effective = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        if (allowed.Any(network => network.Contains(effective)))
        {
            return true;
        }

        // A scope id means a link-local address, whatever the bits say.
        if (effective.AddressFamily == AddressFamily.InterNetworkV6 && effective.ScopeId != 0)
        {
            return false;
        }

        return !Special.Any(network => network.Contains(effective))
            && (Embedded(effective) is not { } inner || Allows(inner));
    }

    /// <summary>The IPv4 address that a gateway would take out of an IPv6 address, if there is one in it.</summary>
    private static IPAddress? Embedded(IPAddress address)
    {
        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return null;
        }

        byte[] bytes = address.GetAddressBytes();
        if (Nat64.Contains(address) || Compatible.Contains(address))
        {
            return new IPAddress(bytes.AsSpan(12));
        }

        return SixToFour.Contains(address) ? new IPAddress(bytes.AsSpan(2, 4)) : null;
    }
}
