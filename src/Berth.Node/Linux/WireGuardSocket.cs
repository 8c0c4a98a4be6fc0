using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>
/// WireGuard devices of one namespace: keys, and the machines at the other ends, by generic netlink (linux/wireguard.h,
/// linux/genetlink.h). Not thread-safe. Throws LinuxException.
/// </summary>
internal sealed class WireGuardSocket : IDisposable
{
    private const ushort Control = 0x10;
    private const byte GetFamily = 3;
    private const ushort FamilyId = 1;
    private const ushort FamilyName = 2;
    private const byte SetDevice = 1;
    private const byte Version = 1;
    private const ushort DeviceName = 2;
    private const ushort DevicePrivateKey = 3;
    private const ushort DeviceFlags = 5;
    private const ushort DevicePort = 6;
    private const ushort DevicePeers = 8;
    private const uint ReplacePeers = 1;
    private const ushort PeerPublicKey = 1;
    private const ushort PeerFlags = 3;
    private const ushort PeerEndpoint = 4;
    private const ushort PeerAddresses = 9;
    private const uint RemovePeer = 1;
    private const uint ReplaceAddresses = 2;
    private const ushort AddressFamily = 1;
    private const ushort Address = 2;
    private const ushort AddressPrefix = 3;

    private readonly NetlinkSocket socket;
    private readonly ushort family;

    private WireGuardSocket(NetlinkSocket socket, ushort family)
    {
        this.socket = socket;
        this.family = family;
    }

    /// <summary>Of the namespace that this thread is in.</summary>
    public static WireGuardSocket Open()
    {
        NetlinkSocket socket = NetlinkSocket.Open(NetlinkSocket.Generic);
        try
        {
            ushort family = 0;
            socket.Send(
                Begin(new NetlinkMessages(), Control, GetFamily).Put(FamilyName, "wireguard").End(), "wireguard",
                (_, content) => family = NetlinkSocket.Find(content[4..], FamilyId) is { Length: >= 2 } found
                    ? MemoryMarshal.Read<ushort>(found)
                    : (ushort)0);
            return family != 0
                ? new WireGuardSocket(socket, family)
                : throw new LinuxException("netlink", "wireguard has no family", Errno.NotSupported);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Begins with no peers.</summary>
    public void SetKey(string device, ReadOnlySpan<byte> privateKey, int port) =>
        socket.Send(KeyMessage(family, device, privateKey, port), $"device {device}");

    /// <summary>There may be the same already.</summary>
    /// <param name="address">What it may send from, and what goes to it.</param>
    public void SetPeer(string device, byte[] publicKey, IPEndPoint endpoint, IPAddress address) =>
        socket.Send(PeerMessage(family, device, publicKey, endpoint, address), $"peer of {device}");

    /// <summary>Nothing happens where there is none.</summary>
    public void Remove(string device, byte[] publicKey) => socket.Send(
        Change(family, device, peer => peer.Put(PeerPublicKey, publicKey).Put(PeerFlags, RemovePeer)),
        $"peer of {device}");

    public void Dispose() => socket.Dispose();

    internal static NetlinkMessages KeyMessage(
        ushort family, string device, ReadOnlySpan<byte> privateKey, int port) =>
        Begin(new NetlinkMessages(), family, SetDevice).Put(DeviceName, device)
            .Put(DevicePrivateKey, privateKey).Put(DeviceFlags, ReplacePeers)
            .Put(DevicePort, BitConverter.GetBytes((ushort)port)).End();

    internal static NetlinkMessages PeerMessage(
        ushort family, string device, byte[] publicKey, IPEndPoint endpoint, IPAddress address)
    {
        const ushort Ip4 = Libc.AF_INET;
        return Change(family, device, peer => peer.Put(PeerPublicKey, publicKey).Put(PeerFlags, ReplaceAddresses)
            .Put(PeerEndpoint, SocketAddress(endpoint))
            .Nest(PeerAddresses, list => list.Nest(1, one => one.Put(AddressFamily, BitConverter.GetBytes(Ip4))
                .Put(Address, address.GetAddressBytes()).Put(AddressPrefix, [32]))));
    }

    private static NetlinkMessages Change(ushort family, string device, Action<NetlinkMessages> peer) =>
        Begin(new NetlinkMessages(), family, SetDevice).Put(DeviceName, device)
            .Nest(DevicePeers, list => list.Nest(1, peer)).End();

    /// <summary>struct genlmsghdr.</summary>
    private static NetlinkMessages Begin(NetlinkMessages message, ushort type, byte command) =>
        message.Begin(type, NetlinkMessages.Acknowledge).Raw([command, Version, 0, 0]);

    /// <summary>struct sockaddr_in.</summary>
    private static byte[] SocketAddress(IPEndPoint endpoint)
    {
        byte[] bytes = new byte[16];
        BitConverter.TryWriteBytes(bytes, (ushort)Libc.AF_INET);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)endpoint.Port);
        endpoint.Address.GetAddressBytes().CopyTo(bytes, 4);
        return bytes;
    }
}
