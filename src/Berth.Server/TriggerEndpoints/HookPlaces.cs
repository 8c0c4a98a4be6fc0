using System.Net;
using System.Net.Sockets;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.TriggerEndpoints;

/// <summary>Places for requests of strangers: so many at once, and so few of one sender's that the others find some,
/// however slow he is.</summary>
internal sealed class HookPlaces(int all, int each)
{
    private readonly Dictionary<string, int> taken = new(StringComparer.Ordinal);
    private readonly Lock gate = new();
    private int count;

    /// <summary>Null where there is none for this sender; otherwise disposing it gives it back.</summary>
    public IDisposable? TryTake(HttpContext context)
    {
        string peer = PeerOf(context);
        lock (gate)
        {
            int own = taken.GetValueOrDefault(peer);
            if (count >= all || own >= each)
            {
                return null;
            }

            taken[peer] = own + 1;
            count++;
        }

        return new Place(this, peer);
    }

    /// <summary>The address, or of IPv6 the network: who has one has all of it.</summary>
    private static string PeerOf(HttpContext context)
    {
        IPAddress? address = TrustedProxies.PeerOf(context);
        if (address is not null && TrustedProxies.Before(context) is { } proxies)
        {
            string way = proxies.WayOf(context.Request.Headers["X-Forwarded-For"], address.ToString());
            address = IPAddress.TryParse(way.Split(',')[0], out IPAddress? told) ? told : address;
        }

        if (address is null)
        {
            return "";
        }

        return address.AddressFamily == AddressFamily.InterNetworkV6 && !address.IsIPv4MappedToIPv6
            ? Convert.ToHexStringLower(address.GetAddressBytes().AsSpan(0, 8))
            : address.ToString();
    }

    private void GiveBack(string peer)
    {
        lock (gate)
        {
            count--;
            int own = taken[peer] - 1;
            if (own == 0)
            {
                taken.Remove(peer);
            }
            else
            {
                taken[peer] = own;
            }
        }
    }

    private sealed class Place(HookPlaces places, string peer) : IDisposable
    {
        private int given;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref given, 1) == 0)
            {
                places.GiveBack(peer);
            }
        }
    }
}
