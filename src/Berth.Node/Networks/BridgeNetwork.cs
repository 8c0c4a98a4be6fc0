using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// One network on this machine: a namespace of its own with a bridge in it, the resolver, the rules, and a cable to the
/// machine where it is not internal. Nothing of a network is in the machine's namespace but that cable's end, so two
/// networks may have the same addresses and reach nothing of each other. A network whose rules are not there does not
/// exist: making it failed.
/// </summary>
internal sealed class BridgeNetwork : IDisposable
{
    private const int Bridge = 10;
    private const int Uplink = 11;
    private const int FirstPort = 100;
    private const string BridgeName = NetworkRules.BridgeName;
    private const string UplinkName = NetworkRules.UplinkName;
    private const string Senders = NetworkRules.Senders;

    /// <summary>Of a sandbox's end; high enough for what a kernel puts into every namespace.</summary>
    private const int OwnDevice = 100;

    private readonly Lock gate = new();
    private readonly HostSide host;
    private readonly FileDescriptor space;
    private readonly RouteSocket devices;
    private readonly FilterSocket packets;
    private readonly FilterSocket frames;
    private readonly AddressPool addresses;
    private readonly Dictionary<int, Endpoint> endpoints = [];
    private readonly OverlayPort? overlay;
    private Cable? cable;
    private int nextPort = FirstPort;
    private bool disposed;

    private BridgeNetwork(NetworkDefinition definition, HostSide host, IUnderlay underlay)
    {
        Definition = definition;
        this.host = host;
        addresses = new AddressPool(definition.Local);
        RouteSocket? routes = null;
        FilterSocket? internet = null;
        FilterSocket? bridge = null;
        space = NetworkNamespace.Make(() =>
        {
            routes = RouteSocket.Open();
            internet = FilterSocket.Open(FilterFamily.Ip, "berth");
            bridge = FilterSocket.Open(FilterFamily.Bridge, "berth");
            Configure();
        });
        (devices, packets, frames) = (routes!, internet!, bridge!);
        overlay = definition.Overlay is { } segment
            ? new OverlayPort(segment, definition.Mtu, underlay, new OverlaySide(space, devices, packets))
            : null;
    }

    public NetworkDefinition Definition { get; }

    public NameTable Names { get; } = new();

    /// <summary>What it has in the machine's namespace; null for an internal one.</summary>
    public Cable? Cable => cable;

    public int Endpoints
    {
        get
        {
            lock (gate)
            {
                return endpoints.Count;
            }
        }
    }

    /// <summary>Makes it whole, or leaves nothing. Throws LinuxException.</summary>
    public static BridgeNetwork Make(NetworkDefinition definition, HostSide host, IUnderlay underlay)
    {
        BridgeNetwork made = new(definition, host, underlay);
        try
        {
            // Before anything could come in.
            made.packets.Install(
                definition.Overlay is null
                    ? []
                    : [new FilterSet(NetworkRules.Machines, FilterRule.MachineKeyLength)],
                NetworkRules.Packets(definition));
            made.frames.Install([new FilterSet(Senders, FilterRule.SenderKeyLength)], NetworkRules.Frames());
            made.Complete();
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>A socket in the network's namespace, which reaches its programs.</summary>
    public Socket MakeSocket(SocketType type, ProtocolType protocol) =>
        NetworkNamespace.MakeSocket(space, type, protocol);

    /// <summary>A place for a sandbox. Throws BerthException: Conflict where the address is taken or none is left;
    /// LinuxException.</summary>
    /// <param name="address">Null for any.</param>
    public Endpoint MakeEndpoint(IPAddress? address)
    {
        RouteSocket? own = null;
        FileDescriptor inner = NetworkNamespace.Make(() =>
        {
            own = RouteSocket.Open();
            own.SetLoopbackUp();
            // Else a program that is not privileged could not listen on a web server's port: the namespace is not its.
            Write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
            // Ping without a raw socket (icmp(7)).
            Write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
            Write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        });
        try
        {
            lock (gate)
            {
                ObjectDisposedException.ThrowIf(disposed, this);
                Endpoint made = new(this, TakeAddress(address), inner, nextPort++);
                endpoints.Add(made.Port, made);
                try
                {
                    Plug(made, own!);
                    return made;
                }
                catch
                {
                    Unplug(made);
                    throw;
                }
            }
        }
        catch
        {
            inner.Dispose();
            throw;
        }
        finally
        {
            own!.Dispose();
        }
    }

    public void Remove(Endpoint endpoint)
    {
        lock (gate)
        {
            if (!disposed)
            {
                Unplug(endpoint);
            }
        }
    }

    /// <summary>Takes in which other machines it is on, and what is found there. Throws LinuxException; the next repair
    /// does what is left.</summary>
    public void Share(SharedNetwork shared)
    {
        Names.SetElsewhere(shared.Names);
        lock (gate)
        {
            if (!disposed)
            {
                overlay?.Share(shared);
            }
        }
    }

    /// <summary>Sets all of its tunnels again, whatever somebody did to them. Throws LinuxException.</summary>
    public void Renew()
    {
        lock (gate)
        {
            if (!disposed)
            {
                overlay?.Renew();
            }
        }
    }

    public Presence Announce(Endpoint endpoint, AttemptNetwork wish) => new(this, endpoint.Address, wish);

    /// <summary>What somebody took away is there again: devices, addresses, cables of sandboxes. True where something
    /// was missing. Throws LinuxException.</summary>
    public bool Repair()
    {
        lock (gate)
        {
            if (disposed)
            {
                return false;
            }

            Dictionary<int, NetworkDevice> found = devices.Devices().ToDictionary(d => d.Index);
            bool isWhole = IsUp(found, Bridge) && overlay?.IsWhole(found.Values) != false
                && (Definition.IsInternal || (IsUp(found, Uplink) && cable is { } laid && host.Has(laid)));
            Endpoint[] cut = [.. endpoints.Values.Where(e => !IsUp(found, e.Port))];
            Endpoint[] loose = [.. endpoints.Values.Where(
                e => found.TryGetValue(e.Port, out NetworkDevice? port) && port.Master != Bridge)];
            if (!isWhole || cut.Length > 0 || loose.Length > 0)
            {
                Complete();
                Mend(cut, [.. loose.Except(cut)], found);
                return true;
            }

            return false;
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
            {
                return;
            }

            disposed = true;
            overlay?.Dispose();
            if (cable is not null)
            {
                host.Disconnect(cable);
            }

            packets.Dispose();
            frames.Dispose();
            devices.Dispose();
            space.Dispose();
        }
    }

    private static bool IsUp(Dictionary<int, NetworkDevice> found, int index) =>
        found.TryGetValue(index, out NetworkDevice? device) && device.IsUp;

    private IPAddress TakeAddress(IPAddress? wanted)
    {
        if (wanted is null)
        {
            return addresses.Take() ?? throw new BerthException(
                ErrorCode.Conflict,
                $"Every address of the network '{Definition.Name}' ({Definition.Local}) is taken"
                + (overlay is null ? ": make one with a larger subnet." : " on this machine: let some run on others."));
        }

        return addresses.TryTake(wanted)
            ? wanted
            : throw new BerthException(
                ErrorCode.Conflict,
                $"The address {wanted} of the network '{Definition.Name}' is taken, or its own"
                + (overlay is null ? "" : $", or another machine's (this one has {Definition.Local})")
                + ": leave --ip out, or choose another one.");
    }

    /// <summary>Makes what is missing of the network itself.</summary>
    private void Complete()
    {
        Dictionary<int, NetworkDevice> found = devices.Devices().ToDictionary(d => d.Index);
        if (!found.ContainsKey(Bridge))
        {
            devices.MakeBridge(
                Bridge, BridgeName, new PhysicalAddress([0x02, 0xb0, .. Definition.Gateway.GetAddressBytes()]),
                Definition.Mtu);
        }

        devices.SetUp(Bridge);
        devices.AddAddress(Bridge, Definition.Gateway, Definition.Local.PrefixLength);
        overlay?.Complete(found.Values);
        if (Definition.IsInternal)
        {
            return;
        }

        if (cable is null || !found.ContainsKey(Uplink) || !host.Has(cable))
        {
            if (cable is not null)
            {
                host.Disconnect(cable);
            }

            cable = host.Connect(devices, new CableEnd(Uplink, UplinkName), Definition.Mtu);
        }

        devices.SetUp(Uplink);
        devices.AddAddress(Uplink, cable.There, 31);
        devices.AddRoute(IPNetwork.Parse("0.0.0.0/0"), cable.Here, Uplink);
    }

    private void Mend(Endpoint[] cut, Endpoint[] loose, Dictionary<int, NetworkDevice> found)
    {
        foreach (Endpoint endpoint in cut)
        {
            if (found.ContainsKey(endpoint.Port))
            {
                devices.SetUp(endpoint.Port);
                devices.SetMaster(endpoint.Port, Bridge);
                continue;
            }

            using RouteSocket own = NetworkNamespace.Within(endpoint.Space, RouteSocket.Open);
            Lay(endpoint, own);
        }

        foreach (Endpoint endpoint in loose)
        {
            devices.SetMaster(endpoint.Port, Bridge);
        }
    }

    private void Plug(Endpoint endpoint, RouteSocket own)
    {
        // Its frames are known before there is a cable for them.
        frames.Add(Senders, KeyOf(endpoint));
        Lay(endpoint, own);
    }

    private void Lay(Endpoint endpoint, RouteSocket own)
    {
        devices.MakePair(
            new CableEnd(endpoint.Port, endpoint.PortName), Bridge,
            new CableEnd(OwnDevice, "eth0", endpoint.Physical), endpoint.Space, Definition.Mtu);
        own.AddAddress(OwnDevice, endpoint.Address, Definition.Local.PrefixLength);
        own.SetUp(OwnDevice);
        own.AddRoute(IPNetwork.Parse("0.0.0.0/0"), Definition.Gateway, OwnDevice);
    }

    private void Unplug(Endpoint endpoint)
    {
        if (!endpoints.Remove(endpoint.Port))
        {
            return;
        }

        devices.Remove(endpoint.Port);
        // It may not have been plugged in yet.
        frames.RemoveIfThere(Senders, KeyOf(endpoint));
        addresses.Return(endpoint.Address);
    }

    private static byte[] KeyOf(Endpoint endpoint) => FilterRule.SenderKey(
        endpoint.PortName, endpoint.Physical.GetAddressBytes(), endpoint.Address.GetAddressBytes());

    private static void Configure()
    {
        Write("/proc/sys/net/ipv4/ip_forward", "1");
        Write("/proc/sys/net/ipv4/conf/all/send_redirects", "0");
        Write("/proc/sys/net/ipv4/conf/default/send_redirects", "0");
        Write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        Write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        Write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    }

    /// <summary>Where the kernel has the switch at all.</summary>
    private static void Write(string path, string value)
    {
        if (File.Exists(path))
        {
            File.WriteAllText(path, value);
        }
    }
}
