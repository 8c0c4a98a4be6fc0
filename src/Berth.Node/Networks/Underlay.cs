using System.Net;
using System.Net.NetworkInformation;
using Berth.Core.Networks;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// The machine's end of tunnels to other machines: one table of rules, in the machine's own namespace. Of packets for
/// a segment of ours only those pass that come from a machine of that segment, under the Ethernet address that this
/// machine has in it. Packets for other segments are somebody else's, and left alone. All of it goes with this process.
/// </summary>
/// <param name="space">Namespace that stands for the machine's own; null for that.</param>
internal sealed class Underlay(string instance, FileDescriptor? space = null) : IUnderlay, IDisposable
{
    /// <summary>UDP (RFC 7348, section 5).</summary>
    public const int Port = 4789;

    /// <summary>Headers of Ethernet, IPv4, UDP and VXLAN.</summary>
    public const int Overhead = 50;

    private const string Tunnels = "tunnels";
    private const string Segments = "segments";

    private readonly Lock gate = new();

    /// <summary>What is in the sets, to fill them again.</summary>
    private readonly HashSet<(int Segment, NetworkPeer Peer)> tunnels = [];
    private readonly HashSet<int> segments = [];
    private readonly Lazy<bool> isPossible = new(Try);
    private RouteSocket? devices;
    private FilterSocket? filter;

    /// <summary>Whether the kernel has such tunnels at all.</summary>
    public bool IsPossible => isPossible.Value;

    /// <summary>Bytes of the largest packet that fits into a tunnel from this address; null where this machine does not
    /// have it.</summary>
    public int? LargestPacket(IPAddress address)
    {
        lock (gate)
        {
            devices ??= In(RouteSocket.Open);
            (IPAddress, int Device) found = devices.AddressesOfDevices().FirstOrDefault(a => a.Address.Equals(address));
            return devices.Devices().FirstOrDefault(d => d.Index == found.Device)?.Mtu - Overhead;
        }
    }

    /// <summary>Makes a segment's device in a network's namespace; returns its index there. Throws LinuxException.
    /// </summary>
    public int MakeDevice(OverlaySegment segment, string name, PhysicalAddress physical, int mtu, OverlaySide side)
    {
        int largest = LargestPacket(segment.Address) ?? throw new LinuxException(
            "tunnel", $"this machine does not have the address {segment.Address}: say with --advertise which it has",
            Errno.NoDevice);
        if (largest < mtu)
        {
            throw new LinuxException(
                "tunnel", $"packets of {mtu} bytes and what is put around them don't fit, {largest} would: make the "
                + $"network with --mtu {largest}", Errno.Invalid);
        }

        lock (gate)
        {
            Prepare();
            if (segments.Add(segment.Number))
            {
                filter!.Add(Segments, FilterRule.SegmentKey(segment.Number));
            }

            devices!.MakeTunnelDevice(name, physical, segment.Number, segment.Address, Port, side.Space, mtu);
        }

        // Nobody is to ask here by ARP: all who need to know are told.
        NetworkNamespace.Within(side.Space, () =>
        {
            File.WriteAllText($"/proc/sys/net/ipv4/conf/{name}/arp_ignore", "8");
            return true;
        });
        return side.Devices.Devices().First(d => d.Name == name).Index;
    }

    /// <summary>Lets a machine's packets for a segment in. Throws LinuxException.</summary>
    public void Add(int segment, NetworkPeer peer)
    {
        lock (gate)
        {
            Prepare();
            filter!.Add(Tunnels, KeyOf(segment, peer));
            tunnels.Add((segment, peer));
        }
    }

    public void Remove(int segment, NetworkPeer peer)
    {
        lock (gate)
        {
            if (tunnels.Remove((segment, peer)))
            {
                filter?.RemoveIfThere(Tunnels, KeyOf(segment, peer));
            }
        }
    }

    /// <summary>Its device is gone, or goes.</summary>
    public void Forget(int segment)
    {
        lock (gate)
        {
            if (segments.Remove(segment))
            {
                filter?.RemoveIfThere(Segments, FilterRule.SegmentKey(segment));
            }
        }
    }

    /// <summary>What somebody may have taken away is there again. Throws LinuxException.</summary>
    public void Repair()
    {
        lock (gate)
        {
            if (filter is not null && !filter.IsInstalled())
            {
                filter.Dispose();
                filter = null;
                Prepare();
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            filter?.Dispose();
            devices?.Dispose();
        }
    }

    private static byte[] KeyOf(int segment, NetworkPeer peer) => FilterRule.TunnelKey(
        peer.Address.GetAddressBytes(), segment, OverlayPort.PhysicalOf(peer.Part).GetAddressBytes());

    private void Prepare()
    {
        devices ??= In(RouteSocket.Open);
        if (filter is not null)
        {
            return;
        }

        FilterSocket made = In(() => FilterSocket.Open(FilterFamily.Ip, $"berth-{instance}-tunnels"));
        try
        {
            made.Install(
                [
                    new FilterSet(Tunnels, FilterRule.TunnelKeyLength),
                    new FilterSet(Segments, FilterRule.SegmentKeyLength),
                ],
                Rules());
            foreach (int segment in segments)
            {
                made.Add(Segments, FilterRule.SegmentKey(segment));
            }

            foreach ((int segment, NetworkPeer peer) in tunnels)
            {
                made.Add(Tunnels, KeyOf(segment, peer));
            }
        }
        catch
        {
            made.Dispose();
            throw;
        }

        filter = made;
    }

    private T In<T>(Func<T> make) => space is null ? make() : NetworkNamespace.Within(space, make);

    /// <summary>Where packets are whole again that came in fragments.</summary>
    private static FilterChain[] Rules()
    {
        const int First = -10;
        const byte Udp = 17;
        return
        [
            new(
                "input", FilterHook.Input, First, Accepts: true,
                [
                    new FilterRule().Transport(Udp).ToPort(Port).TunnelIn(Tunnels).Accept(),
                    new FilterRule().Transport(Udp).ToPort(Port).SegmentIn(Segments).Drop(),
                ]),
        ];
    }

    /// <summary>In a namespace that nobody else has, and that is gone at once.</summary>
    private static bool Try()
    {
        try
        {
            using RouteSocket here = RouteSocket.Open();
            using FileDescriptor scratch = NetworkNamespace.Make(static () => { });
            here.MakeTunnelDevice(
                "vxberthtry", new PhysicalAddress([2, 0, 0, 0, 0, 1]), SubnetParts.FirstSegment, IPAddress.Loopback,
                Port, scratch, NetworkDefinition.LeastMtu, isUp: false);
            return true;
        }
        catch (LinuxException)
        {
            return false;
        }
    }
}
