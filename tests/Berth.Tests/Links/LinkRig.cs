using System.Net;
using System.Net.Http.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Node.Links;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Server.Configuration;
using Berth.Server.Nodes;
using Berth.Testing.Content;
using Berth.Testing.Nodes;
using Berth.Testing.Server;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Tests.Links;

/// <summary>A server that listens for nodes, and nodes without containers that join it over TLS.</summary>
internal sealed class LinkRig : IAsyncDisposable
{
    private readonly List<JoinedNode> nodes = [];

    private LinkRig(ServerRig server) => Server = server;

    public ServerRig Server { get; }

    public NodeRooms Rooms => Server.Server.Rooms.Nodes;

    public Uri NodeAddress => Rooms.Addresses[0];

    /// <param name="folder">A data folder to go on with; null for a new one.</param>
    /// <param name="time">Of the server; null for the machine's.</param>
    public static async Task<LinkRig> StartAsync(
        Func<ServerOptions, ServerOptions>? with = null, TemporaryFolder? folder = null, TimeProvider? time = null) =>
        new(
        await ServerRig.StartAsync(
            o => (with?.Invoke(o) ?? o) with
            {
                NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
            },
            folder, time));

    public async Task<string> TokenAsync(string? expires = null)
    {
        using HttpResponseMessage answer = await Server.Client.PostAsJsonAsync(
            "/v1/node-tokens", new JoinTokenRequest(expires), NodeJson.Default.JoinTokenRequest);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync(NodeJson.Default.JoinTokenCreated))!.Token;
    }

    /// <summary>Joins.</summary>
    /// <param name="offers">Protocols that its program knows; null for all.</param>
    /// <param name="folders">Of its machine, that may be put into sandboxes.</param>
    /// <param name="cable">What its link goes through; null for nothing.</param>
    /// <param name="version">Newest of the link that its program knows.</param>
    /// <param name="data">A folder that a node had before; null for a new one.</param>
    /// <param name="shares">Whether it offers its layers to others.</param>
    public async Task<JoinedNode> JoinAsync(
        string name, int places = 4, TimeProvider? time = null, IReadOnlyList<string>? offers = null,
        IReadOnlyList<string>? folders = null, Cable? cable = null, int version = LinkProtocol.Version,
        TemporaryFolder? data = null, bool shares = false)
    {
        TemporaryFolder folder = data ?? new TemporaryFolder();
        NodeIdentity identity = await ServerDoor.JoinAsync(
            NodeAddress, await TokenAsync(), name, new Dictionary<string, string>(), folder.Path,
            time ?? TimeProvider.System, CancellationToken.None);
        return await StartAsync(folder, identity, places, time, offers, folders, cable, version, shares);
    }

    /// <summary>Starts a node that has joined before.</summary>
    public async Task<JoinedNode> StartAsync(
        TemporaryFolder folder, NodeIdentity identity, int places = 4, TimeProvider? time = null,
        IReadOnlyList<string>? offers = null, IReadOnlyList<string>? folders = null, Cable? cable = null,
        int version = LinkProtocol.Version, bool shares = false)
    {
        JoinedNode node = await JoinedNode.StartAsync(
            folder, identity, cable?.Address ?? NodeAddress, places, time, offers, folders, version, shares);
        nodes.Add(node);
        return node;
    }

    public Task<MachineView> SeeAsync(string name) =>
        Server.Client.GetFromJsonAsync($"/v1/nodes/{name}", NodeJson.Default.MachineView)!;

    /// <summary>Waits until the server sees a node so.</summary>
    public async Task<MachineView> UntilAsync(string name, Func<MachineView, bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            MachineView view = await SeeAsync(name);
            if (condition(view))
            {
                return view;
            }

            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException($"The node is still {view}.");
            }

            await Task.Delay(20);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (JoinedNode node in nodes)
        {
            await node.DisposeAsync();
        }

        await Server.DisposeAsync();
    }
}

/// <summary>A node without containers and its link.</summary>
internal sealed class JoinedNode : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly LinkedNode linked;
    private readonly LayerStore layers;
    private readonly Task running;

    private JoinedNode(
        FakeNode node, LinkedNode linked, LayerStore layers, FetchedImages images, TemporaryFolder folder,
        NodeIdentity identity)
    {
        Identity = identity;
        Node = node;
        Images = images;
        Folder = folder;
        this.linked = linked;
        this.layers = layers;
        running = Task.Run(() => linked.RunAsync(stop.Token));
    }

    public FakeNode Node { get; }

    public NodeIdentity Identity { get; }

    public FetchedImages Images { get; }

    public TemporaryFolder Folder { get; }

    /// <summary>What it has promised to all servers.</summary>
    public PlaceGate Room => linked.Room;

    public static async Task<JoinedNode> StartAsync(
        TemporaryFolder folder, NodeIdentity identity, Uri server, int places, TimeProvider? time,
        IReadOnlyList<string>? offers = null, IReadOnlyList<string>? folders = null,
        int version = LinkProtocol.Version, bool shares = false)
    {
        TimeProvider clock = time ?? TimeProvider.System;
        FakeNode node = new(TimeProvider.System) { HostFolders = folders ?? [] };
        await node.StartAsync(CancellationToken.None);
        ContentStore content = new(folder["blobs"], TimeProvider.System);
        LayerStore layers = new(content, folder["layers"], LayerLimits.Default, TimeProvider.System);
        FetchedImages images = new(
            content, new ImageSource(content, layers, PlatformChoice.Here), PlatformChoice.Here, TimeProvider.System);
        return new JoinedNode(
            node,
            new LinkedNode(
                node, images, [server], identity, folder.Path, places, null, clock, NullLoggerFactory.Instance)
            {
                Offers = offers ?? LinkProtocol.Offers,
                NewestVersion = version,
                ShareLayers = shares ? new IPEndPoint(IPAddress.Loopback, 0) : null,
            },
            layers, images, folder, identity);
    }

    /// <summary>Takes leave and ends the link; what ran on the node is ended.</summary>
    public async Task StopAsync()
    {
        await stop.CancelAsync();
        await running;
    }

    /// <summary>What a killed process does to its containers.</summary>
    public Task EndContainersAsync() => Node.StopAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await linked.DisposeAsync();
        await Node.DisposeAsync();
        await layers.DisposeAsync();
        stop.Dispose();
        if (Directory.Exists(Folder.Path))
        {
            // Another start of the same node may have been the last.
            Folder.Dispose();
        }
    }
}
