using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Berth.Server.Configuration;

/// <summary>An address and port to listen on: <c>127.0.0.1:7070</c>, <c>[::1]:7070</c>, <c>localhost:7070</c>, or
/// <c>*:7070</c> for every address. Port 0 takes a free one.</summary>
public sealed record ListenAddress(IPAddress Address, int Port)
{
    public bool IsLoopback => IPAddress.IsLoopback(Address);

    public static bool TryParse(string value, [NotNullWhen(true)] out ListenAddress? address)
    {
        address = null;
        int colon = value.LastIndexOf(':');
        if (colon <= 0
            || !int.TryParse(value.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            || port > IPEndPoint.MaxPort)
        {
            return false;
        }

        string host = value[..colon];
        IPAddress? parsed = host switch
        {
            "*" => IPAddress.IPv6Any,
            "localhost" => IPAddress.Loopback,
            _ => ParseAddress(host),
        };
        address = parsed is null ? null : new ListenAddress(parsed, port);
        return parsed is not null;
    }

    public override string ToString() => new IPEndPoint(Address, Port).ToString();

    // IPAddress.TryParse takes "1" and "0x7f.1" too; an address must read back as it was written.
    private static IPAddress? ParseAddress(string host)
    {
        bool bracketed = host.StartsWith('[') && host.EndsWith(']');
        if (!IPAddress.TryParse(bracketed ? host[1..^1] : host, out IPAddress? parsed))
        {
            return null;
        }

        bool isV6 = parsed.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
        return isV6 == bracketed && (isV6 || parsed.ToString() == host) ? parsed : null;
    }
}
