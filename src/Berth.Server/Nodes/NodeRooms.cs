using System.Runtime.InteropServices;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Oci.Content;
using Berth.Oci.Images;
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
    private NodeGate? gate;
    private Task watching = Task.CompletedTask;

    /// <param name="authorityFile">Where the key of the nodes' authority is kept.</param>
    public NodeRooms(
        NodeParts parts, string authorityFile, INode own, INodeStore store, IContentStore content, RunManager runs)
    {
        options = parts.Options;
        time = parts.Time;
        loggers = parts.Loggers;
        this.content = content;
        logger = loggers.CreateLogger<NodeRooms>();
        authority = NodeAuthority.LoadOrCreate(authorityFile, time);
        this.own = own;
        NodeIndex index = new(own, runs.Statistics().Places);
        Register = new NodeRegister(store, authority, own.Info.Name, index, time, logger);
        Fleet = new NodeFleet(own, Register, index);
        Register.Changed = () => runs.Resize(Fleet.Places);
        runs.Rooms.Fleet = Fleet;
    }

    public NodeRegister Register { get; }

    public NodeFleet Fleet { get; }

    /// <summary>Where nodes dial; none where the operator named no address.</summary>
    public IReadOnlyList<Uri> Addresses => gate?.Addresses ?? [];

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
        await Register.StartAsync(FactsOf(own.Info), cancellationToken);
        Register.Changed();
        if (options.NodeListen.Count == 0)
        {
            return;
        }

        gate = await NodeGate.OpenAsync(
            Register, authority, content, new NodeLinks(Register, time, logger), options.NodeListen, loggers,
            cancellationToken);
        NodeWatch watch = new(Register, time, logger);
        watching = Task.Run(() => watch.RunAsync(stop.Token), CancellationToken.None);
    }

    private static NodeFacts FactsOf(NodeInfo info) => new(
        info.Engine, info.CgroupVersion, info.Cores, info.Memory.Bytes, PlatformChoice.Here.Architecture,
        RuntimeInformation.OSDescription, Environment.OSVersion.Version.ToString(), info.Features, info.Devices);

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

        Register.Dispose();
        authority.Dispose();
        stop.Dispose();
    }
}
