using System.Net;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Node.Linux;

/// <summary>A network device as the kernel tells it.</summary>
/// <param name="Master">Index of the bridge that it is a port of; 0 for none.</param>
/// <param name="Mtu">Bytes of its largest packet.</param>
internal sealed record NetworkDevice(int Index, string Name, int Master, bool IsUp, int Mtu);

/// <summary>
/// Devices, addresses and routes of one namespace, by rtnetlink(7). Everything is made under a number that the caller
/// chooses, so that nothing has to be asked back. Throws LinuxException.
/// </summary>
internal sealed partial class RouteSocket(NetlinkSocket socket) : IDisposable
{
    private const ushort NewLink = 16;
    private const ushort DeleteLink = 17;
    private const ushort GetLink = 18;
    private const ushort NewAddress = 20;
    private const ushort NewRoute = 24;
    private const ushort LinkAddress = 1;
    private const ushort LinkName = 3;
    private const ushort LinkMtu = 4;
    private const ushort LinkMaster = 10;
    private const ushort LinkInfo = 18;
    private const ushort LinkNamespace = 28;
    private const ushort InfoKind = 1;
    private const ushort InfoData = 2;
    private const ushort VethPeer = 1;
    private const int Up = 1;
    private const int LinkLength = 16;
    private const int Loopback = 1;

    /// <summary>Of the namespace that this thread is in.</summary>
    public static RouteSocket Open() => new(NetlinkSocket.Open(NetlinkSocket.Route));

    /// <summary>A bridge that is up.</summary>
    public void MakeBridge(int index, string name, PhysicalAddress address, int mtu) => socket.Send(
        Link(NetlinkMessages.Create | NetlinkMessages.Exclusive, index, Up)
            .Put(LinkName, name).Put(LinkAddress, address.GetAddressBytes()).Put(LinkMtu, (uint)mtu)
            .Nest(LinkInfo, info => info.Put(InfoKind, "bridge")).End(),
        $"bridge {name}");

    /// <summary>Two devices that are one cable: this end here, up, the other one in another namespace, down.</summary>
    /// <param name="master">Bridge that this end is a port of; 0 for none.</param>
    public void MakePair(CableEnd here, int master, CableEnd there, FileDescriptor space, int mtu) => socket.Send(
        Link(NetlinkMessages.Create | NetlinkMessages.Exclusive, here.Index, Up)
            .Put(LinkName, here.Name).Put(LinkMtu, (uint)mtu).Put(LinkMaster, (uint)master)
            .Nest(LinkInfo, info => info.Put(InfoKind, "veth").Nest(InfoData, data => data.Nest(
                VethPeer, peer => Physical(peer.Raw(Header(there.Index, 0, 0)), there)
                    .Put(LinkName, there.Name).Put(LinkMtu, (uint)mtu)
                    .Put(LinkNamespace, (uint)space.Number)))).End(),
        $"cable {here.Name}");

    /// <summary>Takes a device away, with what it is paired with; nothing happens where there is none.</summary>
    public void Remove(int index)
    {
        try
        {
            socket.Send(
                new NetlinkMessages().Begin(DeleteLink, NetlinkMessages.Acknowledge).Raw(Header(index, 0, 0)).End(),
                $"device {index}");
        }
        catch (LinuxException gone) when (gone.Errno == Errno.NoDevice)
        {
            // It went with its other end.
        }
    }

    public void SetUp(int index) => socket.Send(Link(0, index, Up).End(), $"device {index}");

    /// <summary>Brings the loopback device up.</summary>
    public void SetLoopbackUp() => SetUp(Loopback);

    public void SetMaster(int index, int master) =>
        socket.Send(Link(0, index, 0).Put(LinkMaster, (uint)master).End(), $"device {index}");

    /// <summary>There may be the same already.</summary>
    public void AddAddress(int index, IPAddress address, int prefix)
    {
        byte[] bytes = address.GetAddressBytes();
        Span<byte> header = stackalloc byte[8];
        header[0] = Libc.AF_INET;
        header[1] = (byte)prefix;
        MemoryMarshal.Write(header[4..], index);
        socket.Send(
            new NetlinkMessages()
                .Begin(NewAddress, NetlinkMessages.Acknowledge | NetlinkMessages.Create | NetlinkMessages.Replace)
                .Raw(header).Put(2, bytes).Put(1, bytes).End(),
            $"address {address}");
    }

    /// <summary>There may be the same already.</summary>
    /// <param name="gateway">Null where what is meant stands at the cable itself.</param>
    public void AddRoute(IPNetwork to, IPAddress? gateway, int index)
    {
        const byte MainTable = 254;
        const byte ByOperator = 4;
        const byte Unicast = 1;
        const byte OnLink = 253;
        Span<byte> header = stackalloc byte[12];
        header[0] = Libc.AF_INET;
        header[1] = (byte)to.PrefixLength;
        header[4] = MainTable;
        header[5] = ByOperator;
        header[6] = gateway is null ? OnLink : (byte)0;
        header[7] = Unicast;
        NetlinkMessages route = new NetlinkMessages()
            .Begin(NewRoute, NetlinkMessages.Acknowledge | NetlinkMessages.Create | NetlinkMessages.Replace)
            .Raw(header).Put(4, (uint)index);
        if (to.PrefixLength > 0)
        {
            route.Put(1, to.BaseAddress.GetAddressBytes());
        }

        if (gateway is not null)
        {
            route.Put(5, gateway.GetAddressBytes());
        }

        socket.Send(route.End(), $"route to {to}");
    }

    public IReadOnlyList<NetworkDevice> Devices()
    {
        List<NetworkDevice> devices = [];
        socket.List(
            new NetlinkMessages().Begin(GetLink, NetlinkMessages.Dump).Raw(Header(0, 0, 0)).End(), "devices",
            (type, content) =>
            {
                if (type == NewLink)
                {
                    devices.Add(Read(content));
                }
            });
        return devices;
    }

    /// <summary>Every IPv4 address of the namespace.</summary>
    public IReadOnlyList<IPAddress> Addresses() => [.. AddressesOfDevices().Select(a => a.Address)];

    /// <summary>Every IPv4 address of the namespace, with the index of its device.</summary>
    public IReadOnlyList<(IPAddress Address, int Device)> AddressesOfDevices()
    {
        const ushort GetAddress = 22;
        const int AddressLength = 8;
        List<(IPAddress, int)> addresses = [];
        byte[] header = new byte[AddressLength];
        header[0] = Libc.AF_INET;
        socket.List(
            new NetlinkMessages().Begin(GetAddress, NetlinkMessages.Dump).Raw(header).End(), "addresses",
            (type, content) =>
            {
                ReadOnlySpan<byte> local = NetlinkSocket.Find(content[AddressLength..], 2);
                if (type == NewAddress && local.Length == 4)
                {
                    addresses.Add((new IPAddress(local), MemoryMarshal.Read<int>(content[4..])));
                }
            });
        return addresses;
    }

    public void Dispose() => socket.Dispose();

    private static NetworkDevice Read(ReadOnlySpan<byte> content)
    {
        ReadOnlySpan<byte> attributes = content[LinkLength..];
        ReadOnlySpan<byte> master = NetlinkSocket.Find(attributes, LinkMaster);
        return new NetworkDevice(
            MemoryMarshal.Read<int>(content[4..]),
            Encoding.UTF8.GetString(NetlinkSocket.Find(attributes, LinkName).TrimEnd((byte)0)),
            master.Length >= 4 ? MemoryMarshal.Read<int>(master) : 0,
            (MemoryMarshal.Read<uint>(content[8..]) & Up) != 0,
            NetlinkSocket.Find(attributes, LinkMtu) is { Length: >= 4 } mtu ? MemoryMarshal.Read<int>(mtu) : 0);
    }

    private static NetlinkMessages Link(ushort flags, int index, uint state) => new NetlinkMessages()
        .Begin(NewLink, (ushort)(flags | NetlinkMessages.Acknowledge)).Raw(Header(index, state, state));

    private static NetlinkMessages Physical(NetlinkMessages message, CableEnd end) =>
        end.Address is { } address ? message.Put(LinkAddress, address.GetAddressBytes()) : message;

    /// <summary>struct ifinfomsg.</summary>
    private static byte[] Header(int index, uint state, uint change)
    {
        byte[] header = new byte[LinkLength];
        MemoryMarshal.Write(header.AsSpan(4), index);
        MemoryMarshal.Write(header.AsSpan(8), state);
        MemoryMarshal.Write(header.AsSpan(12), change);
        return header;
    }
}

/// <summary>One end of a pair.</summary>
/// <param name="Index">Of a number that its namespace has not given away.</param>
/// <param name="Address">Null for one that the kernel makes up.</param>
internal sealed record CableEnd(int Index, string Name, PhysicalAddress? Address = null);
