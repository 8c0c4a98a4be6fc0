using System.Collections.Concurrent;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;

namespace Berth.Server.Nodes;

/// <summary>
/// A node of another machine, over its link. The second implementation of <see cref="INode"/>: it takes what
/// <see cref="AttemptOrder.CanSay"/> says.
/// </summary>
internal sealed class RemoteNode : INode
{
    private const int MostSaid = 1000;

    private static readonly TimeSpan Repeated = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<SandboxSpec, long> said = new();
    private readonly ConcurrentDictionary<Digest, long> wanted = new();
    private readonly NodeLink link;
    private readonly NodePaths paths;
    private readonly TimeProvider time;
    private readonly RemoteConnections connections;
    private readonly ConcurrentDictionary<string, SandboxView> attempts = new(StringComparer.Ordinal);

    public RemoteNode(NodeLink link, NodeRegister register, TimeProvider time)
    {
        paths = new NodePaths(link.Name, register, time);
        this.link = link;
        this.time = time;
        connections = new RemoteConnections(link, time);
        NodeFacts facts = link.Hello.Facts;
        Info = new NodeInfo(
            link.Name, facts.Cores, ByteSize.FromBytes(facts.MemoryBytes), facts.Engine, facts.CgroupVersion);
    }

    public NodeInfo Info { get; }

    public NodeLink Link => link;

    /// <summary>Connections with its programs.</summary>
    public int Connections => connections.Count;

    /// <summary>Attempts that it has now, those that are being started among them.</summary>
    public int Running => attempts.Count;

    public INodeStorage Storage => throw new BerthException(
        ErrorCode.InvalidRequest, $"Layers and volumes of the node '{Info.Name}' are not reached from here.");

    /// <summary>It is started where it is.</summary>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <remarks>Said once a minute of each shape: the node remembers for longer.</remarks>
    public void Expect(SandboxSpec spec)
    {
        if (IsNews(said, spec))
        {
            link.Control.Post(
                FrameKind.Expect,
                JsonSerializer.SerializeToUtf8Bytes(ShapeOrder.Of(spec), LinkJson.Default.ShapeOrder));
        }
    }

    /// <summary>Says that an image may soon be wanted there, once a minute.</summary>
    public void Fetch(Digest image)
    {
        if (link.FetchesAhead && IsNews(wanted, image))
        {
            link.Control.Post(
                FrameKind.Fetch,
                JsonSerializer.SerializeToUtf8Bytes(new FetchOrder(image.Text), LinkJson.Default.FetchOrder));
        }
    }

    public async Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (AttemptOrder.HasMounts(spec))
        {
            RequireMounts();
        }

        if (spec.IsContainer || ContainerPart.Of(spec) is not null)
        {
            RequireContainers();
        }

        if (spec.IsContainer)
        {
            return await RemoteContainer.StartAsync(spec, paths, link, cancellationToken);
        }

        LinkExchange exchange;
        try
        {
            exchange = link.Open(LinkProtocol.AttemptPath);
        }
        catch (IOException gone)
        {
            throw RemoteAttempt.Lost(Info.Name, gone);
        }

        // Which sandbox it has the node knows; here the attempt stands for it.
        attempts[spec.Id] = new SandboxView(
            $"{Info.Name}/{spec.Id}", "running", spec.Id, spec.Sandbox.Image, time.GetUtcNow());
        return await RemoteAttempt.StartAsync(
            spec, Info.Name, exchange, connections, time, () => attempts.TryRemove(spec.Id, out _), cancellationToken);
    }

    /// <summary>Removes a volume of its. Throws <c>Conflict</c> where something runs with it, <c>NodeFault</c>.
    /// </summary>
    public Task RemoveVolumeAsync(string name, CancellationToken cancellationToken)
    {
        RequireMounts();
        return NodeQuestion.AskAsync(
            link, LinkProtocol.VolumePath,
            writer => writer.SendAsync(
                FrameKind.RemoveVolume, new VolumeOrder(name), LinkJson.Default.VolumeOrder, cancellationToken),
            FrameKind.VolumeRemoved, static _ => true, cancellationToken);
    }

    /// <summary>What it keeps of this server's containers. Throws <c>NodeFault</c>.</summary>
    public Task<KeptReport> KeptAsync(CancellationToken cancellationToken) => NodeQuestion.AskAsync(
        link, LinkProtocol.KeptPath, writer => writer.SendAsync(FrameKind.AskKept, cancellationToken), FrameKind.Kept,
        static answer => answer.Read(ContainerLinkJson.Default.KeptReport), cancellationToken);

    /// <summary>Ends a container's program there, or removes a layer with what has it; returns when that is done.
    /// Throws <c>NodeFault</c>.</summary>
    public Task DropAsync(DropOrder order, CancellationToken cancellationToken) => NodeQuestion.AskAsync(
        link, LinkProtocol.KeptPath,
        writer => writer.SendAsync(
            FrameKind.Drop, order, ContainerLinkJson.Default.DropOrder, cancellationToken),
        FrameKind.Dropped, static _ => true, cancellationToken);

    public NodeStatus Status() => new([.. attempts.Values], link.Heartbeat?.Prepared ?? 0, 0, 0, 0, 0);

    /// <summary>Ends the link; what it had under way is lost to this server and ended by the node.</summary>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        link.Dispose();
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    private bool IsNews<T>(ConcurrentDictionary<T, long> before, T what)
        where T : notnull
    {
        long now = time.GetTimestamp();
        if (before.TryGetValue(what, out long last) && time.GetElapsedTime(last, now) < Repeated)
        {
            return false;
        }

        if (before.Count >= MostSaid)
        {
            before.Clear();
        }

        before[what] = now;
        return true;
    }

    private void RequireContainers()
    {
        if (!link.HasContainers)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The node '{Info.Name}' speaks a version of the link that knows no containers: install this server's "
                + "version of Berth there.");
        }
    }

    private void RequireMounts()
    {
        if (link.Hello.NewestVersion < LinkProtocol.MountsVersion)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The node '{Info.Name}' speaks a version of the link that knows no volumes: install this server's "
                + "version of Berth there.");
        }
    }
}
