using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Berth.Core.Networks;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Networks;

/// <summary>
/// What carries the tunnels of encrypted networks: a namespace with nothing in it but a WireGuard device. The tunnels'
/// sockets are in there, and so have no other way out: what can't be encrypted does not leave, and what comes in clear
/// finds nobody. Machines have in there the addresses that they have outside. The key is made at the start and is in
/// this process's memory only. Thread-safe.
/// </summary>
internal sealed class EncryptedUnderlay : IUnderlay, IAsyncDisposable
{
    /// <summary>The first that is free: UDP.</summary>
    private const int FirstPort = 7072;
    private const int LastPort = 7079;

    /// <summary>Headers of IPv4, UDP and WireGuard, and its tag.</summary>
    private const int Overhead = 60;

    private static readonly IPNetwork Everywhere = IPNetwork.Parse("0.0.0.0/0");

    private readonly string instance;
    private readonly string name;
    private readonly Underlay clear;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly Lazy<Identity?> identity;
    private readonly SemaphoreSlim making = new(1);
    private readonly Lock gate = new();

    /// <summary>Of the segments that are here: this machine's, and those of the others.</summary>
    private readonly Dictionary<int, IPAddress> addresses = [];
    private readonly HashSet<(int Segment, NetworkPeer Peer)> peers = [];
    private Room? room;
    private IWireGuard? device;
    private int index;

    public EncryptedUnderlay(
        string instance, Underlay clear, ReadinessPoller poller, TimeProvider time, ILogger logger)
    {
        this.instance = instance;
        // 15 characters make a device's name.
        name = "bw" + instance;
        this.clear = clear;
        this.poller = poller;
        this.time = time;
        this.logger = logger;
        identity = new Lazy<Identity?>(Begin);
    }

    /// <summary>What the other machines must know; null where this one can't encrypt.</summary>
    public PeerKey? Key => identity.Value?.Key;

    /// <summary>As <see cref="Underlay.LargestPacket"/>.</summary>
    public int? LargestPacket(IPAddress address) => clear.LargestPacket(address) - Overhead;

    /// <summary>Makes all there has to be before a tunnel, where it is not there. Throws LinuxException.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        Identity own = identity.Value ?? throw new LinuxException(
            "wireguard",
            "this machine can't encrypt: load the kernel's module wireguard or install wireguard-go, and start again",
            Errno.NotSupported);
        await making.WaitAsync(cancellationToken);
        try
        {
            room ??= Room.Make(instance);
            if (device is not null && room.Devices.Devices().Any(d => d.Index == index && d.IsUp))
            {
                return;
            }

            await EndDeviceAsync();
            own.Reserved.Dispose();
            IWireGuard made = own.Program is { } program
                ? await WireGuardProgram.StartAsync(
                    program, name, room.Space, NetworkDefinition.UsualMtu - Overhead, poller, time, cancellationToken)
                : KernelWireGuard.Make(name, room.Space);
            lock (gate)
            {
                device = made;
                Complete(own);
            }

            Log.EncryptionBegun(logger, own.Program ?? "the kernel", own.Key.Port);
        }
        finally
        {
            making.Release();
        }
    }

    /// <summary>What somebody may have taken away is there again. Throws LinuxException.</summary>
    public async Task RepairAsync(CancellationToken cancellationToken)
    {
        if (room is { } made)
        {
            await EnsureAsync(cancellationToken);
            made.Tunnels.Repair();
        }
    }

    public int MakeDevice(OverlaySegment segment, string name, PhysicalAddress physical, int mtu, OverlaySide side)
    {
        lock (gate)
        {
            Room there = Require();
            addresses[segment.Number] = segment.Address;
            SetAddresses();
            return there.Tunnels.MakeDevice(segment, name, physical, mtu, side);
        }
    }

    public void Add(int segment, NetworkPeer peer)
    {
        lock (gate)
        {
            Room there = Require();
            peers.Add((segment, peer));
            SetPeer(peer);
            there.Tunnels.Add(segment, peer);
        }
    }

    public void Remove(int segment, NetworkPeer peer)
    {
        lock (gate)
        {
            room?.Tunnels.Remove(segment, peer);
            if (peers.Remove((segment, peer)) && peer.Key is { } key && !peers.Any(p => p.Peer.Key == key))
            {
                device?.Remove(key.PublicBytes());
            }
        }
    }

    public void Forget(int segment)
    {
        lock (gate)
        {
            room?.Tunnels.Forget(segment);
            if (addresses.Remove(segment))
            {
                SetAddresses();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await EndDeviceAsync();
        room?.Dispose();
        if (identity.IsValueCreated)
        {
            identity.Value?.Reserved.Dispose();
        }

        making.Dispose();
    }

    private async Task EndDeviceAsync()
    {
        IWireGuard? ended;
        lock (gate)
        {
            (ended, device, index) = (device, null, 0);
        }

        if (ended is not null)
        {
            await ended.DisposeAsync();
        }

        foreach (NetworkDevice left in room?.Devices.Devices().Where(d => d.Name == name) ?? [])
        {
            room!.Devices.Remove(left.Index);
        }
    }

    private Room Require() => device is null || room is not { } there
        ? throw new LinuxException("wireguard", "its device is not there", Errno.NoDevice)
        : there;

    /// <summary>All that a new device has to be told.</summary>
    private void Complete(Identity own)
    {
        index = room!.Devices.Devices().First(d => d.Name == name).Index;
        device!.SetKey(own.Private, own.Key.Port);
        SetAddresses();
        foreach ((_, NetworkPeer peer) in peers)
        {
            SetPeer(peer);
        }

        room.Devices.SetUp(index);
        room.Devices.AddRoute(Everywhere, null, index);
    }

    private void SetPeer(NetworkPeer peer)
    {
        if (peer.Key is { } key)
        {
            device!.SetPeer(key.PublicBytes(), new IPEndPoint(peer.Address, key.Port), peer.Address);
        }
    }

    /// <summary>Those that this machine has outside, and packets as small as there is room for in each.</summary>
    private void SetAddresses()
    {
        if (room is not { Devices: { } devices } || index == 0)
        {
            return;
        }

        IPAddress[] had = [.. devices.AddressesOfDevices().Where(a => a.Device == index).Select(a => a.Address)];
        foreach (IPAddress gone in had.Except(addresses.Values))
        {
            devices.RemoveAddress(index, gone, 32);
        }

        foreach (IPAddress own in addresses.Values.Except(had))
        {
            devices.AddAddress(index, own, 32);
        }

        if (addresses.Values.Select(clear.LargestPacket).OfType<int>().Order().FirstOrDefault() is > 0 and int inner)
        {
            devices.SetMtu(index, inner + Underlay.Overhead - Overhead);
        }
    }

    /// <summary>What is needed to encrypt, looked for once. The port is held until it is used, so that two servers of
    /// one machine don't tell the same.</summary>
    private static Identity? Begin()
    {
        string? program = null;
        if (!KernelWireGuard.IsPossible() && (program = WireGuardProgram.Find()) is null)
        {
            return null;
        }

        for (int port = FirstPort; port <= LastPort; port++)
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Any, port));
                byte[] key = Curve25519.NewPrivate();
                return new Identity(
                    key, new PeerKey(Convert.ToBase64String(Curve25519.PublicOf(key)), port), socket, program);
            }
            catch (SocketException)
            {
                socket.Dispose();
            }
        }

        return null;
    }

    /// <param name="Program">Null where the kernel encrypts.</param>
    private sealed record Identity(byte[] Private, PeerKey Key, Socket Reserved, string? Program);

    /// <summary>The namespace, and what is looked after in it.</summary>
    private sealed record Room(FileDescriptor Space, RouteSocket Devices, Underlay Tunnels) : IDisposable
    {
        private const string NoAddresses = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

        public static Room Make(string instance)
        {
            RouteSocket? devices = null;
            FileDescriptor space = NetworkNamespace.Make(() =>
            {
                devices = RouteSocket.Open();
                if (File.Exists(NoAddresses))
                {
                    File.WriteAllText(NoAddresses, "1");
                }
            });
            return new Room(space, devices!, new Underlay(instance, space));
        }

        public void Dispose()
        {
            Tunnels.Dispose();
            Devices.Dispose();
            Space.Dispose();
        }
    }
}
