using System.Net;
using System.Net.Sockets;

namespace Berth.Core.Networks;

/// <summary>Which addresses a network has. Networks know nothing of each other, so two may have the same; those that
/// are chosen here don't, for the sake of who reads logs.</summary>
public static class SubnetChoice
{
    /// <summary>From a machine of few to all of 10.0.0.0/8.</summary>
    public const int ShortestPrefix = 8;
    public const int LongestPrefix = 29;

    private const int UsualPrefix = 24;

    /// <summary>Parts for 64 machines of 253 programs each.</summary>
    private const int UsualOverlayPrefix = 18;

    private static readonly IPNetwork Pool = IPNetwork.Parse("10.128.0.0/10");
    private static readonly IPNetwork OverlayPool = IPNetwork.Parse("10.192.0.0/10");

    /// <summary>Addresses that a network may have: private ones (RFC 1918) and shared ones (RFC 6598).</summary>
    private static readonly IPNetwork[] Own =
        [.. new[] { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10" }.Select(IPNetwork.Parse)];

    /// <summary>The first that none of these overlaps; null where there is none any more.</summary>
    public static IPNetwork? Choose(IReadOnlyCollection<IPNetwork> taken) => Choose(taken, Pool, UsualPrefix);

    /// <summary>The same for one that is on several machines.</summary>
    public static IPNetwork? ChooseOverlay(IReadOnlyCollection<IPNetwork> taken) =>
        Choose(taken, OverlayPool, UsualOverlayPrefix);

    private static IPNetwork? Choose(IReadOnlyCollection<IPNetwork> taken, IPNetwork pool, int prefix)
    {
        uint first = AddressPool.ToNumber(pool.BaseAddress);
        uint count = 1u << (prefix - pool.PrefixLength);
        for (uint i = 0; i < count; i++)
        {
            IPNetwork next = new(AddressPool.ToAddress(first + (i << (32 - prefix))), prefix);
            if (!taken.Any(t => EgressRules.Overlap(t, next)))
            {
                return next;
            }
        }

        return null;
    }

    /// <summary>Whether a network may have these.</summary>
    public static bool IsValid(IPNetwork subnet) =>
        subnet.BaseAddress.AddressFamily == AddressFamily.InterNetwork
        && subnet.PrefixLength is >= ShortestPrefix and <= LongestPrefix
        && Own.Any(own => own.PrefixLength <= subnet.PrefixLength && own.Contains(subnet.BaseAddress));
}
