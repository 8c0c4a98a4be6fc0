using System.Collections.Concurrent;
using System.Text.Json;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Server.Nodes;

/// <summary>
/// A node of another machine, over its link. The second implementation of <see cref="INode"/>: it takes what
/// <see cref="AttemptOrder.CanSay"/> says, calls, tasks and instances; what belongs to one machine (containers with
/// their layers and volumes, terminals) stays with the server's own.
/// </summary>
internal sealed class RemoteNode : INode
{
    private const int MostSaid = 1000;

    private static readonly TimeSpan Repeated = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<SandboxSpec, long> said = new();
    private readonly NodeLink link;
    private readonly TimeProvider time;
    private readonly RemoteConnections connections;
    private readonly ConcurrentDictionary<string, SandboxView> attempts = new(StringComparer.Ordinal);

    public RemoteNode(NodeLink link, TimeProvider time)
    {
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
        long now = time.GetTimestamp();
        if (said.TryGetValue(spec, out long before) && time.GetElapsedTime(before, now) < Repeated)
        {
            return;
        }

        if (said.Count >= MostSaid)
        {
            said.Clear();
        }

        said[spec] = now;
        link.Control.Post(
            FrameKind.Expect, JsonSerializer.SerializeToUtf8Bytes(ShapeOrder.Of(spec), LinkJson.Default.ShapeOrder));
    }

    public async Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (AttemptOrder.HasMounts(spec))
        {
            RequireMounts();
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
    public async Task RemoveVolumeAsync(string name, CancellationToken cancellationToken)
    {
        RequireMounts();
        try
        {
            using LinkExchange exchange = link.Open(LinkProtocol.VolumePath);
            await exchange.Writer.SendAsync(
                FrameKind.RemoveVolume, new VolumeOrder(name), LinkJson.Default.VolumeOrder, cancellationToken);
            Frame answer = await (await exchange.ReaderAsync(cancellationToken)).ReadAsync(cancellationToken)
                ?? throw new LinkException("The node did not say what became of the volume.");
            exchange.Complete();
            if (answer.Kind == FrameKind.Refused)
            {
                RefusalReport refusal = answer.Read(LinkJson.Default.RefusalReport);
                throw new BerthException(ErrorCatalog.Find(refusal.Code).Error, refusal.Message);
            }
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException)
        {
            throw RemoteAttempt.Lost(Info.Name, gone);
        }
    }

    public NodeStatus Status() => new([.. attempts.Values], link.Heartbeat?.Prepared ?? 0, 0, 0, 0, 0);

    /// <summary>Ends the link; what it had under way is lost to this server and ended by the node.</summary>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        link.Dispose();
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

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
