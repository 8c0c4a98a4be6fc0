using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Nodes;
using Berth.Core.Resources;
using Berth.Server.Access;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Nodes;

/// <summary>The operator's view of the nodes.</summary>
internal sealed class NodesEndpoints(NodeRooms nodes, NodeDrains drains, TimeProvider time)
{
    private static readonly TimeSpan UsualLife = TimeSpan.FromHours(1);

    public async Task MakeTokenAsync(HttpContext context)
    {
        JoinTokenRequest wanted = await JsonBody.ReadAsync(context, NodeJson.Default.JoinTokenRequest);
        nodes.RequireGate();
        (JoinToken token, DateTimeOffset end) = await nodes.Register.MakeTokenAsync(
            wanted.ExpiresIn is null ? UsualLife : Duration.Parse(wanted.ExpiresIn), Caller.Of(context).Name,
            context.RequestAborted);
        context.Response.Headers.CacheControl = "no-store";
        await JsonBody.WriteAsync(
            context, new JoinTokenCreated(token.Id, token.ToString(), end), NodeJson.Default.JoinTokenCreated,
            StatusCodes.Status201Created);
    }

    public async Task ListTokensAsync(HttpContext context)
    {
        DateTimeOffset now = time.GetUtcNow();
        await JsonBody.WriteAsync(
            context,
            new JoinTokenList(
            [
                .. (await nodes.Register.TokensAsync(context.RequestAborted)).Select(t => new JoinTokenView(
                    t.Id, t.UsedBy is not null ? "used" : t.ExpiresAt <= now ? "expired" : "valid", t.CreatedAt,
                    t.ExpiresAt, t.Caller, t.UsedBy)),
            ]),
            NodeJson.Default.JoinTokenList);
    }

    public async Task RemoveTokenAsync(HttpContext context)
    {
        await nodes.Register.RemoveTokenAsync(
            (string)context.Request.RouteValues["id"]!, Caller.Of(context).Name, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public Task ListAsync(HttpContext context) => JsonBody.WriteAsync(
        context,
        new MachineList([.. nodes.Register.All.OrderBy(n => n.Name, StringComparer.Ordinal).Select(View)]),
        NodeJson.Default.MachineList);

    public Task GetAsync(HttpContext context) => AnswerAsync(context, nodes.Register.Get(NameOf(context)));

    public async Task CordonAsync(HttpContext context) =>
        await AnswerAsync(context, await SetCordonAsync(context, isCordoned: true));

    public async Task UncordonAsync(HttpContext context) =>
        await AnswerAsync(context, await SetCordonAsync(context, isCordoned: false));

    /// <summary>It gets nothing new, and containers that can be elsewhere go there.</summary>
    public async Task DrainAsync(HttpContext context)
    {
        NodeDrain drain = await drains.DrainAsync(NameOf(context), evicts: false, context.RequestAborted);
        await JsonBody.WriteAsync(
            context,
            new MachineDrain(
                View(drain.Node), drain.Moved, drain.Staying, drain.Running,
                drain.Unasked.Count == 0 ? null : drain.Unasked),
            NodeJson.Default.MachineDrain);
    }

    /// <summary>Ends what a node still has; tasks run again elsewhere.</summary>
    public async Task EvictAsync(HttpContext context) => await AnswerAsync(
        context, (await drains.DrainAsync(NameOf(context), evicts: true, context.RequestAborted)).Node);

    public async Task PatchAsync(HttpContext context)
    {
        NodePatch patch = await JsonBody.ReadAsync(context, NodeJson.Default.NodePatch);
        NodeEntry node = await nodes.Register.ChangeAsync(
            NameOf(context), record => NodePatches.Apply(record, patch), context.RequestAborted);
        await AnswerAsync(context, node);
    }

    public async Task RemoveAsync(HttpContext context)
    {
        await nodes.Register.RemoveAsync(NameOf(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private Task<NodeEntry> SetCordonAsync(HttpContext context, bool isCordoned) => nodes.Register.ChangeAsync(
        NameOf(context), record => record with { IsCordoned = isCordoned }, context.RequestAborted);

    private Task AnswerAsync(HttpContext context, NodeEntry node) =>
        JsonBody.WriteAsync(context, View(node), NodeJson.Default.MachineView);

    private MachineView View(NodeEntry node)
    {
        NodeRecord record = node.Record;
        NodeFacts? facts = record.Facts;
        NodeHeartbeat? beat = node.Heartbeat;
        bool isOwn = node.IsOwn;
        bool knows = node.Node?.Link.KnowsNeighbours == true;
        return new MachineView(
            node.Name, nodes.Register.StateOf(node), isOwn, record.IsCordoned,
            node.Problem ?? (record.IsServers && !isOwn ? "another server's own" : null),
            nodes.Fleet.RunningOn(node), node.FreePlaces, record.Labels, record.Taints,
            facts is null ? null : ViewOf(facts),
            beat is null
                ? null
                : new MachineLoad(
                    Math.Round(beat.Load, 2), beat.MemoryFree, beat.DiskFree, beat.DiskTotal, beat.Prepared,
                    beat.Images, beat.Coming is { Count: > 0 } coming ? coming : null,
                    knows ? Math.Max(0, beat.FromNeighbours) : null, knows ? Math.Max(0, beat.FromServers) : null),
            isOwn ? ServerVersion.Text : record.Program, record.JoinedAt,
            isOwn ? time.GetUtcNow() : node.Node is { Link.Closed.IsCancellationRequested: false } linked
                ? time.GetUtcNow() - time.GetElapsedTime(linked.Link.Heard)
                : record.SeenAt,
            record.ExpiresAt,
            node.Node is { Link: { Closed.IsCancellationRequested: false, Sharing: { } offer } }
                ? offer.Address
                : null);
    }

    private static MachineProfile ViewOf(NodeFacts facts) => new(
        facts.Engine, facts.CgroupVersion, facts.Cores, facts.MemoryBytes, facts.Architecture,
        facts.OperatingSystem, facts.Kernel, facts.Features,
        [.. facts.Devices.Select(d => new MachineDevice(d.Model, d.MemoryBytes))]);
}
