using System.Diagnostics.CodeAnalysis;
using System.Net;
using Berth.Core.Errors;

namespace Berth.Core.Callbacks;

/// <summary>
/// Where callbacks may go. What can be seen from the URL is refused when a run is submitted; what a name resolves to is
/// decided when the connection is made.
/// </summary>
public sealed class CallbackPolicy
{
    public const int MaxLength = 2048;

    private readonly HashSet<string> hosts = new(StringComparer.OrdinalIgnoreCase);

    /// <param name="allow">Host names, addresses, or networks in CIDR form that may be reached
    /// although they are internal.</param>
    public CallbackPolicy(IEnumerable<string> allow)
    {
        List<IPNetwork> networks = [];
        foreach (string entry in allow)
        {
            if (IPAddress.TryParse(entry, out IPAddress? address))
            {
                networks.Add(new IPNetwork(address, address.GetAddressBytes().Length * 8));
            }
            else if (IPNetwork.TryParse(entry, out IPNetwork network))
            {
                networks.Add(network);
            }
            else
            {
                hosts.Add(entry);
            }
        }

        Addresses = new AddressPolicy(networks);
    }

    public static CallbackPolicy PublicOnly { get; } = new([]);

    public AddressPolicy Addresses { get; }

    /// <summary>Whether a connection to <paramref name="host"/> may use this address of it.</summary>
    public bool Allows(string host, IPAddress address) => hosts.Contains(host) || Addresses.Allows(address);

    /// <summary>Throws <c>CallbackForbidden</c> for a URL that could never be called, saying why.</summary>
    public void Check(Uri target)
    {
        if (Refusal(target) is { } reason)
        {
            throw new BerthException(
                ErrorCode.CallbackForbidden,
                $"The callback '{Quote(target)}' is not allowed: {reason}");
        }
    }

    private string? Refusal(Uri target)
    {
        if (!target.IsAbsoluteUri || target.Scheme is not ("http" or "https"))
        {
            return "write an absolute URL that begins with http:// or https://.";
        }

        if (target.OriginalString.Length > MaxLength)
        {
            return $"it is longer than {MaxLength:N0} characters.";
        }

        if (target.UserInfo.Length > 0)
        {
            return "it has a user name or password in it; check the Berth-Signature header instead.";
        }

        string host = target.IdnHost;
        if (host.Length == 0 || target.Port is <= 0 or > 65535)
        {
            return "it has no host or port.";
        }

        if (TryParseAddress(host, out IPAddress? address))
        {
            return Addresses.Allows(address)
                ? null
                : $"{address} is not a public address. The operator may allow it in the setting callback-allow.";
        }

        return IsLocalName(host) && !hosts.Contains(host) && !Addresses.Allows(IPAddress.Loopback)
            ? $"{host} is a name of this machine. The operator may allow it in the setting callback-allow."
            : null;
    }

    private static bool IsLocalName(string host)
    {
        string name = host.TrimEnd('.');
        return name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || name.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase);
    }

    // Numbers in other notations (one decimal, octal, hexadecimal) are addresses to a resolver, so they are to us.
    private static bool TryParseAddress(string host, [NotNullWhen(true)] out IPAddress? address) =>
        IPAddress.TryParse(host.Trim('[', ']').TrimEnd('.'), out address);

    private static string Quote(Uri target) =>
        target.OriginalString is { Length: > 200 } text ? text[..200] + "…" : target.OriginalString;
}
