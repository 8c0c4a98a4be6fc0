using Berth.Core.Errors;
using Berth.Server.Cluster;
using Berth.Server.Store;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Of several servers that share a store each keeps its own containers: who asks another one for one of them
/// is told whose it is.</summary>
internal sealed class OtherServers(IClusterStore shared, PeerDirectory directory)
{
    /// <summary>Routes to containers, which answer so.</summary>
    /// <param name="store">One that is a server's alone has nobody to name.</param>
    public static IEndpointRouteBuilder Around(
        IEndpointRouteBuilder routes, IRunStore store, PeerDirectory directory)
    {
        if (store is not IClusterStore shared)
        {
            return routes;
        }

        OtherServers others = new(shared, directory);
        RouteGroupBuilder group = routes.MapGroup("");
        ((IEndpointConventionBuilder)group).Add(
            endpoint => endpoint.RequestDelegate = others.Telling(endpoint.RequestDelegate!));
        return group;
    }

    private RequestDelegate Telling(RequestDelegate inner) => async context =>
    {
        try
        {
            await inner(context);
        }
        catch (BerthException none) when (
            none.Code == ErrorCode.NotFound && context.Request.RouteValues["id"] is string)
        {
            string reference = ContainerEndpoints.ReferenceOf(context);
            if (await shared.HolderOfContainerAsync(reference, context.RequestAborted) is { } holder
                && holder != shared.Self)
            {
                throw new BerthException(
                    ErrorCode.NotFound,
                    $"The container '{Quoted.Of(reference)}' is kept by " + (directory.Find(holder) switch
                    {
                        { IsGone: false } server =>
                            $"the server '{server.Name}': ask that one, with its address in BERTH_HOST.",
                        { } gone => $"the server '{gone.Name}', which is gone: it is had again when that is back.",
                        null => "a server that is gone: it is had again when that is back.",
                    }), none);
            }

            throw;
        }
    };
}
