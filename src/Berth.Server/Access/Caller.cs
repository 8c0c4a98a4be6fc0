using System.Net;
using System.Net.Sockets;
using Berth.Registry.Access;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Access;

/// <summary>Whom a valid token belongs to.</summary>
/// <param name="Grants">Of a robot, what it may do where; null for the other roles.</param>
public sealed record Caller(string TokenId, string Name, Role Role, IReadOnlyList<RepositoryGrant>? Grants = null)
{
    /// <summary>Somebody without a token, who calls a function that anybody may call.</summary>
    public bool IsAnonymous => TokenId.Length == 0;

    public bool May(Permission permission) =>
        IsAnonymous ? permission == Permission.FunctionCall : Roles.May(Role, permission);

    /// <summary>Whoever has this address, so that callers without a token wait in turn as those with one do. Of IPv6
    /// it is the network of one customer (RFC 6177), who else would have as many turns as addresses.</summary>
    public static Caller Anonymous(HttpContext context)
    {
        IPAddress? address = TrustedProxies.PeerOf(context);
        if (TrustedProxies.Before(context) is not null)
        {
            string[] way = RequestWay.Of(context.Request).For.Split(", ");
            address = IPAddress.TryParse(way[0], out IPAddress? told) ? told : address;
        }

        return new Caller("", "anonymous:" + NetworkOf(address), Role.Robot);
    }

    private static string NetworkOf(IPAddress? address)
    {
        if (address is not { AddressFamily: AddressFamily.InterNetworkV6 })
        {
            return address?.ToString() ?? "unknown";
        }

        byte[] bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes) + "/64";
    }

    /// <summary>
    /// The caller that <see cref="AccessGate"/> let through. Never missing behind a route that needs a token.
    /// </summary>
    public static Caller Of(HttpContext context) =>
        context.Features.Get<Caller>()
        ?? throw new InvalidOperationException("A route read its caller without needing one.");

    internal void AttachTo(HttpContext context) => context.Features.Set(this);
}
