using System.Net;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

// Tunnels between machines: VXLAN devices (RFC 7348; linux/if_link.h, IFLA_VXLAN_*), and what stands at their ends.
internal sealed partial class RouteSocket
{
    private const ushort NewNeighbour = 28;
    private const ushort DeleteNeighbour = 29;
    private const ushort DeleteRoute = 25;

    /// <summary>
    /// A VXLAN device that is up, in another namespace than its packets between machines go through: those go through
    /// this socket's. It learns nothing and floods nothing: it knows who it is told of by <see cref="AddTunnel"/>.
    /// </summary>
    /// <param name="name">That no device here has either: kernels before 6.14 look for it here.</param>
    /// <param name="segment">24 bits.</param>
    /// <param name="from">Address that its packets come from.</param>
    /// <param name="port">UDP, at both ends.</param>
    public void MakeTunnelDevice(
        string name, PhysicalAddress address, int segment, IPAddress from, int port, FileDescriptor space, int mtu,
        bool isUp = true)
    {
        const ushort Identifier = 1;
        const ushort Local = 4;
        const ushort Learning = 7;
        const ushort Port = 15;
        socket.Send(
            Link(NetlinkMessages.Create | NetlinkMessages.Exclusive, 0, isUp ? (uint)Up : 0)
                .Put(LinkName, name).Put(LinkAddress, address.GetAddressBytes()).Put(LinkMtu, (uint)mtu)
                .Put(LinkNamespace, (uint)space.Number)
                .Nest(LinkInfo, info => info.Put(InfoKind, "vxlan").Nest(InfoData, data => data
                    .Put(Identifier, (uint)segment).Put(Local, from.GetAddressBytes()).Put(Learning, [0])
                    .Put(Port, [(byte)(port >> 8), (byte)port]))).End(),
            $"tunnel {name}");
    }

    /// <summary>Where frames for an Ethernet address of a tunnel go. There may be the same already.</summary>
    /// <param name="machine">The other machine's address.</param>
    public void AddTunnel(int index, PhysicalAddress address, IPAddress machine) => socket.Send(
        Neighbour(NewNeighbour, NetlinkMessages.Create | NetlinkMessages.Replace, Libc.AF_BRIDGE, index)
            .Put(2, address.GetAddressBytes()).Put(1, machine.GetAddressBytes()).End(),
        $"tunnel to {machine}");

    /// <summary>Nothing happens where there is none.</summary>
    public void RemoveTunnel(int index, PhysicalAddress address) => Forget(
        Neighbour(DeleteNeighbour, 0, Libc.AF_BRIDGE, index).Put(2, address.GetAddressBytes()).End(),
        $"tunnel of {address}");

    /// <summary>Which Ethernet address an address has, for good: nobody is asked.</summary>
    public void AddNeighbour(int index, IPAddress address, PhysicalAddress physical) => socket.Send(
        Neighbour(NewNeighbour, NetlinkMessages.Create | NetlinkMessages.Replace, Libc.AF_INET, index)
            .Put(1, address.GetAddressBytes()).Put(2, physical.GetAddressBytes()).End(),
        $"neighbour {address}");

    /// <summary>Nothing happens where there is none.</summary>
    public void RemoveNeighbour(int index, IPAddress address) => Forget(
        Neighbour(DeleteNeighbour, 0, Libc.AF_INET, index).Put(1, address.GetAddressBytes()).End(),
        $"neighbour {address}");

    /// <summary>A route by a neighbour that no address of the device's is of.</summary>
    public void AddRouteBy(IPNetwork to, IPAddress neighbour, int index) =>
        socket.Send(RouteBy(NewRoute, NetlinkMessages.Create | NetlinkMessages.Replace, to, neighbour, index),
            $"route to {to}");

    /// <summary>Nothing happens where there is none.</summary>
    public void RemoveRouteBy(IPNetwork to, IPAddress neighbour, int index) =>
        Forget(RouteBy(DeleteRoute, 0, to, neighbour, index), $"route to {to}");

    private static NetlinkMessages RouteBy(
        ushort type, ushort flags, IPNetwork to, IPAddress neighbour, int index)
    {
        const byte MainTable = 254;
        const byte ByOperator = 4;
        const byte Unicast = 1;
        const int OnLink = 4;
        Span<byte> header = stackalloc byte[12];
        header[0] = Libc.AF_INET;
        header[1] = (byte)to.PrefixLength;
        header[4] = MainTable;
        header[5] = ByOperator;
        header[7] = Unicast;
        MemoryMarshal.Write(header[8..], OnLink);
        return new NetlinkMessages().Begin(type, (ushort)(flags | NetlinkMessages.Acknowledge)).Raw(header)
            .Put(1, to.BaseAddress.GetAddressBytes()).Put(5, neighbour.GetAddressBytes()).Put(4, (uint)index).End();
    }

    /// <summary>struct ndmsg (rtnetlink(7)): permanent; of a tunnel, the device's own.</summary>
    private static NetlinkMessages Neighbour(ushort type, ushort flags, byte family, int index)
    {
        const ushort Permanent = 0x80;
        const byte OfDevice = 2;
        Span<byte> header = stackalloc byte[12];
        header[0] = family;
        MemoryMarshal.Write(header[4..], index);
        MemoryMarshal.Write(header[8..], Permanent);
        header[10] = family == Libc.AF_BRIDGE ? OfDevice : (byte)0;
        return new NetlinkMessages().Begin(type, (ushort)(flags | NetlinkMessages.Acknowledge)).Raw(header);
    }

    private void Forget(NetlinkMessages removal, string subject)
    {
        try
        {
            socket.Send(removal, subject);
        }
        catch (LinuxException gone) when (gone.Errno is Errno.NoEntry or Errno.NoDevice or Errno.NoSuchProcess)
        {
            // Somebody took it away, or it went with its device.
        }
    }
}
