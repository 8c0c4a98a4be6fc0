using Berth.Api.Networks;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.Networks;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.NetworkEndpoints;

/// <summary>Networks of the caller; an administrator sees all.</summary>
internal sealed class NetworkEndpoints(NetworkKeeper networks, NetworkUsers users, ServerOptions options)
{
    private readonly NetworkOrder order = new(options);

    public Task ListAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(
            context, new NetworkList([.. networks.AllOf(Caller.Of(context)).Select(View)]),
            NetworkJson.Default.NetworkList);
    }

    public Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(
            context, View(networks.Get(NameOf(context), Caller.Of(context))), NetworkJson.Default.NetworkView);
    }

    public async Task CreateAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        NetworkRequest request = await JsonBody.ReadAsync(context, NetworkRequestJson.Default.NetworkRequest);
        Network made = await networks.CreateAsync(
            order.Read(request), Caller.Of(context).Name, context.RequestAborted);
        context.Response.Headers.Location = "/v1/networks/" + made.Name;
        await JsonBody.WriteAsync(
            context, View(made), NetworkJson.Default.NetworkView, StatusCodes.Status201Created);
    }

    public async Task RemoveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        await networks.RemoveAsync(NameOf(context), Caller.Of(context), users.Of, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <summary>Removes those of the caller that nothing uses.</summary>
    public async Task PruneAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Caller caller = Caller.Of(context);
        List<string> removed = [];
        foreach (Network network in networks.AllOf(caller).Where(n => n.Owner == caller.Name))
        {
            if (users.Of(network).Count > 0)
            {
                continue;
            }

            try
            {
                await networks.RemoveAsync(network.Name, caller, users.Of, context.RequestAborted);
                removed.Add(network.Name);
            }
            catch (BerthException used) when (used.Code is ErrorCode.Conflict or ErrorCode.NotFound)
            {
                // Used, or removed by somebody, in this moment.
            }
        }

        await JsonBody.WriteAsync(
            context, new NetworkPruneResult(removed), NetworkJson.Default.NetworkPruneResult);
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private NetworkView View(Network network)
    {
        NetworkDefinition definition = network.Definition;
        return new NetworkView(
            network.Id, network.Name, network.Owner, network.IsOverlay ? "overlay" : "bridge",
            definition.Subnet.ToString(), (networks.Here(network) ?? definition).Gateway.ToString(),
            definition.IsInternal, definition.Mtu,
            [.. EgressRules.Restore(definition.Egress).Rules.Select(r => r.ToString())],
            network.CreatedAt, network.Labels, users.Of(network),
            network.IsOverlay
                ?
                [
                    .. network.Leases.OrderBy(l => l.Number).Select(l => new NetworkPart(
                        l.Node, SubnetParts.At(definition.Subnet, l.Number).ToString())),
                ]
                : null,
            network.IsOverlay ? network.IsEncrypted : null);
    }
}
