using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Server.Cluster;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>All that a server has to do with nodes, its own among them. The first type to read in this room.</summary>
internal sealed class NodeRooms : IAsyncDisposable
{
    private readonly INode own;
    private readonly ServerOptions options;
    private readonly IContentStore content;
    private readonly TimeProvider time;
    private readonly ILoggerFactory loggers;
    private readonly ILogger logger;
    private readonly NodeAuthority authority;
    private readonly CancellationTokenSource stop = new();
    private readonly RunManager runs;
    private readonly ServerLifetime lifetime;
    private readonly string server = "Berth";
    private readonly PeerDoors? doors;
    private NodeGate? gate;
    private Task watching = Task.CompletedTask;

    /// <param name="authorityFile">Where the key of the nodes' authority is kept.</param>
    public NodeRooms(
        NodeParts parts, string authorityFile, INode own, INodeStore store, IContentStore content, RunManager runs,
        ServerLifetime lifetime)
    {
        this.lifetime = lifetime;
        options = parts.Options;
        time = parts.Time;
        loggers = parts.Loggers;
        this.content = content;
        logger = loggers.CreateLogger<NodeRooms>();
        authority = NodeAuthority.LoadOrCreate(authorityFile, time);
        this.own = own;
        NodeIndex index = new(own, runs.Statistics().Places);
        Register = new NodeRegister(store, authority, own.Info.Name, index, time, logger);
        if (store is IClusterStore shared)
        {
            server = shared.Self;
            doors = new PeerDoors(Directory, authority, server, time);
            Peers = new Peers(shared, Directory, doors);
            runs.Rooms.Peers = Peers;
            Register.HasServer = Directory.Has;
            Directory.Changed = TellNodes;
        }

        this.runs = runs;
        Fleet = new NodeFleet(own, Register, index, time) { GiveWay = runs.GiveWay };
        Register.Changed = () =>
        {
            runs.Resize(Fleet.Places);
            Changed();
        };
        runs.Rooms.Fleet = Fleet;
    }

    public NodeRegister Register { get; }

    /// <summary>Called when nodes have come, gone or changed; set before anything runs.</summary>
    public Action Changed { get; set; } = static () => { };

    public NodeFleet Fleet { get; }

    /// <summary>The servers that share the store.</summary>
    public PeerDirectory Directory { get; } = new();

    /// <summary>What other servers have; null where the store is this one's alone.</summary>
    public Peers? Peers { get; }

    /// <summary>Empties nodes; set before anything runs.</summary>
    public NodeDrains? Drains { get; set; }

    /// <summary>Where nodes dial; none where the operator named no address.</summary>
    public IReadOnlyList<Uri> Addresses => gate?.Addresses ?? [];

    /// <summary>Where nodes and other servers reach this one; empty for nowhere.</summary>
    public string Advertised
    {
        get
        {
            if (Addresses.Count == 0)
            {
                return "";
            }

            if (options.Advertise is { } given)
            {
                return given.GetLeftPart(UriPartial.Authority);
            }

            Uri first = Addresses[0];
            bool isAny = IPAddress.TryParse(first.Host.Trim('[', ']'), out IPAddress? address)
                && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any));
            return new UriBuilder("https", isAny ? Environment.MachineName : first.Host, first.Port).Uri
                .GetLeftPart(UriPartial.Authority);
        }
    }

    /// <summary>Throws <c>Conflict</c> where nobody could join.</summary>
    public void RequireGate()
    {
        if (gate is null)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                "This server listens for no nodes: start it with --node-listen, for instance '*:7071'.");
        }
    }

    /// <summary>Before anything runs: tasks may be given to nodes at once.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        ISharedNetworks? shared = options.NodeListen.Count > 0 ? own.SharedNetworks : null;
        await Register.StartAsync(FactsOf(own.Info).With(shared?.Key), cancellationToken);
        Register.Changed();
        if (options.NodeListen.Count == 0)
        {
            return;
        }

        gate = await NodeGate.OpenAsync(
            new GateParts(
                Register, authority, content, new NodeLinks(Register, () => Directory.Addresses, time, logger), server,
                Peers is null ? null : new PeerAnswers(runs, content, lifetime) { Drain = DrainAsync }, Peers, time),
            options.NodeListen, loggers, cancellationToken);
        NodeWatch watch = new(Register, time, logger);
        Register.Own.OwnUnderlay = shared is { IsPossible: true } ? Underlay() : null;
        Register.Own.OwnKey = shared?.Key;
        Register.Tell(Register.Own);
        watching = Task.Run(() => watch.RunAsync(stop.Token), CancellationToken.None);
    }

    /// <summary>As another server asks.</summary>
    private async Task<DrainReport> DrainAsync(string node, bool evicts, CancellationToken cancellationToken)
    {
        NodeDrain drain = await (Drains ?? throw new InvalidOperationException("Nothing drains nodes here."))
            .DrainHereAsync(node, evicts, cancellationToken);
        return new DrainReport(
            drain.Moved, drain.Staying.ToDictionary(s => s.Container, s => s.Reason, StringComparer.Ordinal),
            drain.Running);
    }

    /// <summary>Under which other machines reach this one: what the operator named, or the address that packets to
    /// elsewhere come from.</summary>
    private IPAddress? Underlay()
    {
        IEnumerable<IPAddress?> named =
        [
            IPAddress.TryParse(options.Advertise?.Host, out IPAddress? advertised) ? advertised : null,
            .. options.NodeListen.Select(l => l.Address),
        ];
        return named.Select(LinkAddress.OfMachine).OfType<IPAddress>().FirstOrDefault()
            ?? LinkAddress.OfMachine(Outwards());
    }

    private static IPAddress? Outwards()
    {
        // Of documentation (RFC 5737): nothing is sent, the kernel but looks which way it would be.
        IPEndPoint anywhere = new(new IPAddress([192, 0, 2, 1]), 9);
        try
        {
            using Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Connect(anywhere);
            return (socket.LocalEndPoint as IPEndPoint)?.Address;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private static NodeFacts FactsOf(NodeInfo info) => new(
        info.Engine, info.CgroupVersion, info.Cores, info.Memory.Bytes, PlatformChoice.Here.Architecture,
        RuntimeInformation.OSDescription, Environment.OSVersion.Version.ToString(), info.Features, info.Devices,
        info.HostFolders);

    /// <summary>Every node keeps a link to every server.</summary>
    private void TellNodes()
    {
        IReadOnlyList<string> servers = Directory.Addresses;
        foreach (NodeEntry entry in Register.All)
        {
            entry.Node?.Link.Tell(servers);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await watching;
        foreach (NodeEntry entry in Register.All)
        {
            entry.Node?.Link.Dispose();
        }

        if (gate is not null)
        {
            await gate.DisposeAsync();
        }

        doors?.Dispose();
        Register.Dispose();
        authority.Dispose();
        stop.Dispose();
    }
}
