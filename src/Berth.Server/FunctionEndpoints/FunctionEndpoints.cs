using System.Globalization;
using System.Text.Json.Serialization;
using Berth.Api.Functions;
using Berth.Api.Rollouts;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Rollouts;
using Berth.Oci.Repositories;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.ImageEndpoints;
using Berth.Server.Instances;
using Berth.Server.Networks;
using Berth.Server.Nodes;
using Berth.Server.RolloutEndpoints;
using Berth.Server.Rollouts;
using Berth.Server.Secrets;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Functions, their revisions and who gets their calls.</summary>
internal sealed class FunctionEndpoints(
    FunctionManager functions, InstanceManager instances, RevisionMeters meters, ImageCatalog images,
    SecretVault secrets, NetworkKeeper networks, NodeFleet nodes, ServerOptions options, TimeProvider time)
{
    private readonly FunctionOrder order = new(options, secrets) { FirstUnmetHere = nodes.FirstUnmetHere };

    public Task ListAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(
            context, new FunctionList([.. functions.All.Select(View)]), FunctionJson.Default.FunctionList);
    }

    public Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        FunctionEntry entry = functions.Get(NameOf(context));
        FunctionView view = View(entry) with
        {
            Retry = RetryOrder.View(entry.Record.Newest.Spec.Run),
            Isolation = FunctionOrder.IsolationOf(entry.Record.Newest.Spec),
        };
        return JsonBody.WriteAsync(context, Instances(entry.Record, view), FunctionJson.Default.FunctionView);
    }

    public async Task DeployAsync(HttpContext context)
    {
        (string name, FunctionRequest request, RolloutPlan? plan, FunctionSpec spec) = await ReadAsync(context);
        string caller = Caller.Of(context).Name;
        // What does not come up gets no calls: the revision is made once an instance of it stands ready.
        await using InstanceTrial? trial = spec.Service is not null && functions.Next(name, spec, caller) is { } next
            ? await TryAsync(name, next, context.RequestAborted)
            : null;
        bool mayOpen = Caller.Of(context).May(Permission.FunctionExpose);
        (FunctionEntry entry, Function? before) = await functions.DeployAsync(
            name, spec, request.Traffic ?? 100, request.Tag, plan, caller,
            function => TrafficOrder.Apply(function, request, mayOpen), context.RequestAborted);
        bool changed = !ReferenceEquals(entry.Record, before);
        trial?.Adopt(entry.Record);
        await JsonBody.WriteAsync(
            context, new FunctionDeployment(View(entry), entry.Record.Newest.Number, changed),
            FunctionJson.Default.FunctionDeployment,
            before is null ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    /// <summary>Null where no node may have it and there is nothing before it that would go on: it is tried by the
    /// first call that finds one.</summary>
    private async Task<InstanceTrial?> TryAsync(string name, Revision next, CancellationToken cancellationToken)
    {
        try
        {
            return await instances.TryAsync(name, next, cancellationToken);
        }
        catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode && next.Number == 1)
        {
            return null;
        }
    }

    /// <summary>What the same request to <see cref="DeployAsync"/> would lead to.</summary>
    public async Task PlanAsync(HttpContext context)
    {
        (string name, FunctionRequest request, RolloutPlan? plan, FunctionSpec spec) = await ReadAsync(context);
        bool mayOpen = Caller.Of(context).May(Permission.FunctionExpose);
        (Function? now, Function next) = functions.Plan(
            name, spec, request.Traffic ?? 100, request.Tag, plan, Caller.Of(context).Name,
            function => TrafficOrder.Declare(function, request, mayOpen));
        bool deploys = now is null || !FunctionManager.IsSame(spec, now);
        FunctionPlan told = new(
            name, now?.Newest.Number, next.Newest.Number, deploys || !ReferenceEquals(now, next),
            now is null ? null : FunctionOrder.Write(now.Newest.Spec), now?.Newest.Spec.Run.Digest.Text,
            FunctionOrder.Write(spec), spec.Run.Digest.Text, deploys, now is null ? null : TrafficOrder.View(now),
            TrafficOrder.View(next));
        await JsonBody.WriteAsync(context, told, FunctionJson.Default.FunctionPlan);
    }

    /// <summary>A request that is to be a revision, checked.</summary>
    private async Task<(string Name, FunctionRequest Request, RolloutPlan? Plan, FunctionSpec Spec)> ReadAsync(
        HttpContext context)
    {
        _ = new QueryText(context.Request);
        FunctionRequest request = await JsonBody.ReadAsync(
            context, FunctionRequestJson.Default.FunctionRequest, JsonBody.LargeLength);
        if (request.Image is null)
        {
            throw new BerthException(ErrorCode.InvalidRequest, "image is missing: a function runs one.");
        }

        if (request is { Rollout: not null, Traffic: not null })
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "traffic and rollout can't be given together: each says who gets the calls.");
        }

        if (request.Rollout?.Revision is { } other)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"rollout.revision = {other} can't be given with a deployment, whose own revision is rolled out.");
        }

        string name = FunctionName.Check(NameOf(context), "function");
        RolloutPlan? plan = request.Rollout is null ? null : RolloutOrder.Read(request.Rollout);
        ImageReference image = RequestedImage.Own(ImageReference.Parse(request.Image), context.Request);
        CatalogDetail detail = await images.DescribeAsync(image, context.RequestAborted);
        FunctionSpec spec = order.Read(name, request, image, detail.Image.Digest, detail.Config?.Config);
        return (name, request, plan, spec with
        {
            Run = spec.Run with { Bridge = networks.Bind(spec.Run.Bridge, Caller.Of(context)) },
        });
    }

    public async Task RemoveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        await functions.RemoveAsync(NameOf(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public Task RevisionsAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Function function = functions.Get(NameOf(context)).Record;
        return JsonBody.WriteAsync(
            context, new RevisionList([.. function.Revisions.Reverse().Select(r => View(function, r))]),
            FunctionJson.Default.RevisionList);
    }

    public Task RevisionAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Function function = functions.Get(NameOf(context)).Record;
        string wanted = (string)context.Request.RouteValues["number"]!;
        if (!int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            throw new Asked("The revision", wanted).Refuse("expected its number");
        }

        return JsonBody.WriteAsync(
            context, View(function, function.Find(number) ?? throw FunctionSteps.NoRevision(function, number)),
            FunctionJson.Default.RevisionView);
    }

    public async Task RouteAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        TrafficView request = await JsonBody.ReadAsync(context, FunctionRequestJson.Default.TrafficView);
        if (request.Shares?.Contains(null!) is not false)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "shares is missing or holds a null: it says what each revision gets.");
        }

        bool mayOpen = Caller.Of(context).May(Permission.FunctionExpose);
        FunctionEntry entry = await functions.ChangeAsync(
            NameOf(context), function => TrafficOrder.Apply(function, request, mayOpen), context.RequestAborted);
        await JsonBody.WriteAsync(context, View(entry), FunctionJson.Default.FunctionView);
    }

    public async Task ScaleAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        ScaleRequest request = await JsonBody.ReadAsync(context, FunctionRequestJson.Default.ScaleRequest);
        FunctionEntry entry = await functions.ChangeAsync(
            NameOf(context),
            function => FunctionSteps.Rescale(
                function, request.Revision is { } number ? [number] : null, now => ServiceOrder.Change(request, now)),
            context.RequestAborted);
        foreach (Revision revision in entry.Record.Revisions)
        {
            instances.Find(entry.Record.Name, revision.Number)?.Scale();
        }

        await JsonBody.WriteAsync(context, Instances(entry.Record, View(entry)), FunctionJson.Default.FunctionView);
    }

    public async Task RollBackAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        RollbackRequest request = await JsonBody.ReadAsync(context, FunctionRequestJson.Default.RollbackRequest);
        FunctionEntry entry = await functions.ChangeAsync(
            NameOf(context),
            function => RolloutSteps.TakeBack(
                function, request.Revision, Caller.Of(context).Name, time.GetUtcNow()),
            context.RequestAborted);
        await JsonBody.WriteAsync(context, View(entry), FunctionJson.Default.FunctionView);
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private FunctionView View(FunctionEntry entry)
    {
        Function function = entry.Record;
        bool limited = entry.Places.Count > 0;
        Revision newest = function.Newest;
        return new FunctionView(
            function.Name, newest.Number, newest.Spec.Run.Image, newest.Spec.Run.Digest.Text, function.CreatedAt,
            newest.CreatedAt, TrafficOrder.View(function), limited ? entry.Places.Values.Sum(p => p.Taken) : null,
            limited ? entry.Places.Values.Sum(p => p.WaitingCalls) : null,
            Rollout: function.Rollout is { IsUnderWay: true } rollout ? RolloutOrder.NameOf(rollout.State) : null,
            Calls: Recent(function, function.Revisions),
            Project: newest.Spec.Run.Labels.GetValueOrDefault(FunctionLabels.Project),
            Host: functions.Hosts.NameOf(function.Name));
    }

    /// <summary>With what runs for it now.</summary>
    private FunctionView Instances(Function function, FunctionView view)
    {
        (int Revision, InstancePool Pool)[] pools =
        [
            .. function.Revisions.Select(r => (r.Number, Pool: instances.Find(function.Name, r.Number)))
                .Where(r => r.Pool is not null).Select(r => (r.Number, r.Pool!)),
        ];
        return pools.Length == 0 && function.Revisions.All(r => r.Spec.Service is null) ? view : view with
        {
            Instances =
            [
                .. pools.SelectMany(p => p.Pool.Instances().Select(i => new InstanceView(
                    i.Id.Text, p.Revision, i.Running, i.Draining, i.Usage?.Memory.Bytes,
                    i.Usage?.Processor.TotalMilliseconds, i.Frozen, i.Node))),
            ],
            Scaling =
            [
                .. pools.Select(p => (p.Revision, Figures: p.Pool.Figures())).Select(p => new ScalingView(
                    p.Revision, p.Figures.Ready, p.Figures.Starting, p.Figures.Running, p.Figures.Waiting,
                    p.Figures.Scale.Min, p.Figures.Scale.Max, p.Figures.Why, p.Figures.Trouble,
                    p.Figures.Scale.Warm?.Tell(time.GetUtcNow()))),
            ],
        };
    }

    private RevisionView View(Function function, Revision revision) => new(
        function.Name, revision.Number, revision.CreatedAt, revision.Caller, revision.Spec.Run.Digest.Text,
        function.Traffic.Shares.FirstOrDefault(s => s.Revision == revision.Number)?.Percent ?? 0,
        [.. function.Traffic.Tags.Where(t => t.Value == revision.Number).Select(t => t.Key)],
        FunctionOrder.Write(revision.Spec), Recent(function, [revision]));

    private CallFigures? Recent(Function function, IEnumerable<Revision> revisions) => RolloutOrder.FiguresOf(
        meters.Recent(function.Name, revisions.Select(r => r.Number))) is { Calls: > 0 } figures
        ? figures
        : null;
}

/// <summary>Requests as they come in: a member that there is not is a slip of the keyboard, and told.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(FunctionRequest))]
[JsonSerializable(typeof(TrafficView))]
[JsonSerializable(typeof(RollbackRequest))]
[JsonSerializable(typeof(ScaleRequest))]
internal sealed partial class FunctionRequestJson : JsonSerializerContext;
