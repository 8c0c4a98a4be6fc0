using System.Net;

namespace Berth.Core.Networks;

/// <summary>How the addresses of a network that is on several machines are shared out: equal parts, each a machine's,
/// so that a machine is found by any address of its part.</summary>
public static class SubnetParts
{
    /// <summary>253 programs; of smaller subnets a sixteenth.</summary>
    private const int UsualPrefix = 24;
    private const int FewestBits = 4;

    /// <summary>The smallest subnet that can be shared out: sixteen machines of thirteen programs.</summary>
    public const int LongestPrefix = 24;

    /// <summary>Numbers of segments have 24 bits (RFC 7348, section 5). The low ones are left to others that may use
    /// the same port of a machine, and count from there.</summary>
    public const int FirstSegment = 0x100000;
    public const int SegmentEnd = 0x1000000;

    public static int Count(IPNetwork subnet) => 1 << (PrefixOf(subnet) - subnet.PrefixLength);

    /// <param name="number">From 0 to below <see cref="Count"/>.</param>
    public static IPNetwork At(IPNetwork subnet, int number)
    {
        int prefix = PrefixOf(subnet);
        return new IPNetwork(AddressPool.At(subnet, (uint)number << (32 - prefix)), prefix);
    }

    /// <summary>The part for a machine that has none yet: the lowest that no other has, or, for a machine that had one
    /// before, that. Null where all are given.</summary>
    public static SubnetLease? Give(Network network, string node, IPAddress? address, PeerKey? key = null)
    {
        if (network.LeaseOf(node) is { } had)
        {
            return had with { Address = address?.ToString() ?? had.Address, Key = key?.ToString() ?? had.Key };
        }

        HashSet<int> taken = [.. network.Leases.Select(l => l.Number)];
        int free = Enumerable.Range(0, Count(network.Definition.Subnet)).FirstOrDefault(n => !taken.Contains(n), -1);
        return free < 0 ? null : new SubnetLease(node, free, address?.ToString(), key?.ToString());
    }

    private static int PrefixOf(IPNetwork subnet) => Math.Max(UsualPrefix, subnet.PrefixLength + FewestBits);
}
