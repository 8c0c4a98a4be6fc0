using Berth.Api.Containers;
using Berth.Core.Containers;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Named volumes.</summary>
internal sealed class VolumeEndpoints(ContainerManager containers)
{
    public async Task ListAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        IReadOnlyList<Volume> volumes = await containers.Volumes.ListAllAsync(context.RequestAborted);
        await JsonBody.WriteAsync(
            context, new VolumeList([.. volumes.Select(v => View(v))]), ContainerJson.Default.VolumeList);
    }

    public async Task CreateAsync(HttpContext context)
    {
        VolumeRequest request = await JsonBody.ReadAsync(context, ContainerRequestJson.Default.VolumeRequest);
        PlacementRules? rules = PlacementRules.Parse(request.Constraints, request.Tolerations, spread: null);
        if (rules is not null && request.Node is not null)
        {
            throw new Asked("node", request.Node).Refuse("it names the machine: leave constraints and tolerations out");
        }

        (Volume volume, bool isNew) = await containers.Volumes.MakeAsync(
            request.Name, request.Node, rules, Caller.Of(context).Name, context.RequestAborted);
        context.Response.Headers.Location = "/v1/volumes/" + volume.Name;
        await JsonBody.WriteAsync(
            context, View(volume), ContainerJson.Default.VolumeView,
            isNew ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    /// <summary>With its size, which is found by a walk.</summary>
    public async Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Volume volume = await containers.Volumes.GetAsync(NameOf(context), context.RequestAborted);
        ByteSize? size = await containers.Volumes.MeasureAsync(volume, context.RequestAborted);
        await JsonBody.WriteAsync(
            context, View(volume) with { SizeBytes = size?.Bytes }, ContainerJson.Default.VolumeView);
    }

    public async Task RemoveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        await containers.Volumes.RemoveAsync(NameOf(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private VolumeView View(Volume volume) => new(
        volume.Name, volume.CreatedAt, containers.Volumes.UsersOf(volume), Node: volume.Node);
}
