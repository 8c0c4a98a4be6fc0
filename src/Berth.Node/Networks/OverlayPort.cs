using System.Net;
using System.Net.NetworkInformation;
using Berth.Core.Networks;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>What an overlay network's namespace is reached by.</summary>
internal sealed record OverlaySide(FileDescriptor Space, RouteSocket Devices, FilterSocket Packets);

/// <summary>
/// A network's way to the other machines that it is on: a tunnel device in its namespace, and for each machine a route
/// to its part of the subnet, its Ethernet address, and where frames for that go. All of it is told by the server;
/// nothing is learned from packets, nobody is asked, nothing is flooded. Not thread-safe.
/// </summary>
internal sealed class OverlayPort(OverlaySegment segment, int mtu, IUnderlay underlay, OverlaySide side) : IDisposable
{
    private readonly string name = NameOf(segment.Number);
    private readonly HashSet<NetworkPeer> peers = [];

    /// <summary>Under which the other machines reach this one; it may get another.</summary>
    private IPAddress address = segment.Address;
    private IReadOnlyList<NetworkPeer> wanted = [];
    private int index;

    public static string NameOf(int segment) => $"vx{segment:x6}";

    /// <summary>Locally administered, and made of the part's first address, so that every machine's is known.</summary>
    public static PhysicalAddress PhysicalOf(IPNetwork part) =>
        new([0x02, 0xb1, .. part.BaseAddress.GetAddressBytes()]);

    public bool IsWhole(IEnumerable<NetworkDevice> found) =>
        peers.SetEquals(wanted) && found.Any(d => d.Name == name && d.Index == index && d.IsUp);

    /// <summary>Makes what is missing.</summary>
    public void Complete(IEnumerable<NetworkDevice> found)
    {
        if (found.FirstOrDefault(d => d.Name == name) is { } there && there.Index == index)
        {
            side.Devices.SetUp(index);
        }
        else
        {
            if (found.FirstOrDefault(d => d.Name == name) is { } other)
            {
                side.Devices.Remove(other.Index);
            }

            index = underlay.MakeDevice(
                segment with { Address = address }, name, PhysicalOf(segment.Part), mtu, side);
        }

        Renew();
    }

    public void Share(SharedNetwork shared)
    {
        wanted = [.. shared.Peers.Where(IsPossible).DistinctBy(p => p.Part)];
        if (!shared.Address.Equals(address))
        {
            side.Devices.Remove(index);
            address = shared.Address;
            Complete([]);
            return;
        }

        Follow();
    }

    public void Renew()
    {
        foreach (NetworkPeer peer in peers)
        {
            Add(peer);
        }

        Follow();
    }

    public void Dispose()
    {
        foreach (NetworkPeer peer in peers)
        {
            underlay.Remove(segment.Number, peer);
        }

        underlay.Forget(segment.Number);
    }

    private bool IsPossible(NetworkPeer peer) =>
        peer.Part.PrefixLength == segment.Part.PrefixLength && !peer.Part.Equals(segment.Part)
        && (!segment.IsEncrypted || peer.Key is not null);

    private void Follow()
    {
        foreach (NetworkPeer peer in peers.Except(wanted).ToArray())
        {
            Remove(peer);
        }

        foreach (NetworkPeer peer in wanted.Except(peers).ToArray())
        {
            // Taken away again even if only some of it could be made.
            peers.Add(peer);
            Add(peer);
        }
    }

    private void Add(NetworkPeer peer)
    {
        PhysicalAddress physical = PhysicalOf(peer.Part);
        IPAddress hop = AddressPool.At(peer.Part, 1);
        side.Packets.Add(NetworkRules.Machines, KeyOf(peer));
        underlay.Add(segment.Number, peer);
        side.Devices.AddTunnel(index, physical, peer.Address);
        side.Devices.AddNeighbour(index, hop, physical);
        side.Devices.AddRouteBy(peer.Part, hop, index);
    }

    private void Remove(NetworkPeer peer)
    {
        PhysicalAddress physical = PhysicalOf(peer.Part);
        IPAddress hop = AddressPool.At(peer.Part, 1);
        underlay.Remove(segment.Number, peer);
        side.Devices.RemoveRouteBy(peer.Part, hop, index);
        side.Devices.RemoveNeighbour(index, hop);
        side.Devices.RemoveTunnel(index, physical);
        peers.Remove(peer);
        if (!peers.Any(p => p.Part.Equals(peer.Part)))
        {
            side.Packets.RemoveIfThere(NetworkRules.Machines, KeyOf(peer));
        }
    }

    private static byte[] KeyOf(NetworkPeer peer) => FilterRule.MachineKey(
        PhysicalOf(peer.Part).GetAddressBytes(), peer.Part.BaseAddress.GetAddressBytes());
}
