using System.Net;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

// Devices that encrypt: WireGuard's, or a program's that a kernel without it is given (tun).
internal sealed partial class RouteSocket
{
    private const ushort DeleteAddress = 21;

    /// <summary>A WireGuard device that is down, in another namespace than its packets between machines go through:
    /// those go through this socket's. Throws LinuxException (not supported) where the kernel has none.</summary>
    public void MakeWireGuard(string name, FileDescriptor space) => socket.Send(
        Link(NetlinkMessages.Create | NetlinkMessages.Exclusive, 0, 0)
            .Put(LinkName, name).Put(LinkNamespace, (uint)space.Number)
            .Nest(LinkInfo, info => info.Put(InfoKind, "wireguard")).End(),
        $"device {name}");

    /// <summary>A device is in another namespace from then on, down and without addresses.</summary>
    public void Move(int index, FileDescriptor space) => socket.Send(
        Link(0, index, 0).Put(LinkNamespace, (uint)space.Number).End(), $"device {index}");

    public void SetMtu(int index, int mtu) => socket.Send(
        Link(0, index, 0).Put(LinkMtu, (uint)mtu).End(), $"device {index}");

    /// <summary>Nothing happens where there is none.</summary>
    public void RemoveAddress(int index, IPAddress address, int prefix)
    {
        byte[] bytes = address.GetAddressBytes();
        Span<byte> header = stackalloc byte[8];
        header[0] = Libc.AF_INET;
        header[1] = (byte)prefix;
        MemoryMarshal.Write(header[4..], index);
        try
        {
            socket.Send(
                new NetlinkMessages().Begin(DeleteAddress, NetlinkMessages.Acknowledge)
                    .Raw(header).Put(2, bytes).Put(1, bytes).End(),
                $"address {address}");
        }
        catch (LinuxException gone) when (gone.Errno is Errno.NoDevice or Errno.NoAddress)
        {
            // It went with its device.
        }
    }
}
