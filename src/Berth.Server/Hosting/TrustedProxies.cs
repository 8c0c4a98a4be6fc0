using System.Net;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Hosting;

/// <summary>
/// The operator's own proxies (<c>trusted-proxy</c>), which alone are believed in what they say of a request's way
/// here: whose it was, by which scheme and host. From anybody else such words are forged as easily as true.
/// </summary>
/// <param name="scheme">Of this server's own connections.</param>
internal sealed class TrustedProxies(IReadOnlyList<IPNetwork> networks, string scheme)
{
    private const string ForwardedPrefix = "X-Forwarded-";

    /// <summary>By any server of this process: most have no proxies, and looking for what nobody has set takes a
    /// noticeable part of a short call.</summary>
    private static volatile bool someWereBelieved;

    public bool IsEmpty => networks.Count == 0;

    /// <summary>The proxies where the request came from one of them, else null.</summary>
    public static TrustedProxies? Before(HttpContext context) =>
        someWereBelieved ? context.Features.Get<TrustedProxies>() : null;

    /// <summary>Whether a header speaks of the request's way, and so is worth what its sender is.</summary>
    public static bool Concerns(string header) =>
        header.StartsWith(ForwardedPrefix, StringComparison.OrdinalIgnoreCase)
        || header.Equals("Forwarded", StringComparison.OrdinalIgnoreCase)
        || header.Equals("X-Real-IP", StringComparison.OrdinalIgnoreCase);

    /// <summary>Remembers whether the request came from a proxy; refuses another scheme than the connection's from
    /// anybody else, as Kestrel does where there are no proxies.</summary>
    public void Check(HttpContext context)
    {
        if (IsEmpty)
        {
            return;
        }

        bool isTrusted = PeerOf(context) is { } peer && Includes(peer);
        if (isTrusted)
        {
            someWereBelieved = true;
            context.Features.Set(this);
        }

        string told = context.Request.Scheme;
        if (!told.Equals(scheme, StringComparison.OrdinalIgnoreCase) && !(isTrusted && IsWeb(told)))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"The scheme '{Quoted.Of(told)}' is not this connection's, which is {scheme}; only a proxy that "
                + "trusted-proxy names may send http or https as it was asked with.");
        }
    }

    /// <summary>The address at the other end of the connection.</summary>
    public static IPAddress? PeerOf(HttpContext context) =>
        context.Connection.RemoteIpAddress is { } address ? Plain(address) : null;

    /// <summary>Who asked, then the proxies it came by: of what they wrote, the part that they vouch for. What stands
    /// before the first address that is no proxy was said by that one.</summary>
    public string WayOf(StringValues written, string peer)
    {
        List<string> way = [peer];
        string[] said = written.ToString().Split(
            ',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (string address in Enumerable.Reverse(said))
        {
            way.Add(address);
            if (!IPAddress.TryParse(address, out IPAddress? proxy) || !Includes(proxy))
            {
                break;
            }
        }

        way.Reverse();
        return string.Join(", ", way);
    }

    /// <summary>The scheme that the proxy was asked with.</summary>
    public static string SchemeOf(HttpRequest request)
    {
        string told = request.Headers["X-Forwarded-Proto"].ToString();
        return (IsWeb(told) ? told : request.Scheme).ToLowerInvariant();
    }

    private static bool IsWeb(string told) =>
        told.Equals("http", StringComparison.OrdinalIgnoreCase)
        || told.Equals("https", StringComparison.OrdinalIgnoreCase);

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private bool Includes(IPAddress address) => networks.Any(n => n.Contains(Plain(address)));
}
