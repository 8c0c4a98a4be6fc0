using System.Text.Json.Serialization;
using Berth.Api.Nodes;
using Berth.Api.Triggers;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Access;
using Berth.Server.Hosting;
using Berth.Server.Store;
using Berth.Server.Triggers;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.TriggerEndpoints;

/// <summary>Triggers: what there are, when they fire next, and what became of the last times.</summary>
internal sealed class TriggerEndpoints(
    TriggerManager triggers, TriggerOrder order, TriggerFiring firing, INodeStorage storage, TimeProvider time)
{
    private const int ShownTimes = 5;
    private const int ShownFirings = 20;

    public Task ListAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(
            context, new TriggerList([.. triggers.All.Select(e => View(e.Record, 1))]),
            TriggerJson.Default.TriggerList);
    }

    public async Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Trigger trigger = triggers.Get(NameOf(context));
        IReadOnlyList<Firing> firings = await triggers.Store.FiringsAsync(
            trigger.Id, ShownFirings, context.RequestAborted);
        await JsonBody.WriteAsync(
            context, View(trigger, ShownTimes) with { Firings = [.. firings.Select(View)] },
            TriggerJson.Default.TriggerView);
    }

    public async Task PutAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        TriggerRequest request = await JsonBody.ReadAsync(context, TriggerRequestJson.Default.TriggerRequest);
        string name = NameOf(context);
        await CheckVolumeAsync(request, context.RequestAborted);
        (Trigger record, bool isNew) = await triggers.PutAsync(
            name, before => order.Read(name, request, before, Caller.Of(context).Name), context.RequestAborted);
        await JsonBody.WriteAsync(
            context, View(record, ShownTimes), TriggerJson.Default.TriggerView,
            isNew ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    /// <summary>What the same request to <see cref="PutAsync"/> would lead to, once its function is there.</summary>
    public async Task PlanAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        TriggerRequest request = await JsonBody.ReadAsync(context, TriggerRequestJson.Default.TriggerRequest);
        string name = FunctionName.Check(NameOf(context), "trigger");
        await CheckVolumeAsync(request, context.RequestAborted);
        Trigger? before = triggers.Find(name);
        Trigger after = order.Read(name, request, before, Caller.Of(context).Name, ahead: true);
        TriggerPlan plan = new(
            name, before is null || !IsSame(before, after), before is null ? null : TriggerOrder.Write(before),
            TriggerOrder.Write(after));
        await JsonBody.WriteAsync(context, plan, TriggerJson.Default.TriggerPlan);
    }

    public async Task RemoveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        await triggers.RemoveAsync(NameOf(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public Task PauseAsync(HttpContext context) => SetAsync(context, isPaused: true);

    public Task ResumeAsync(HttpContext context) => SetAsync(context, isPaused: false);

    /// <summary>Once, now, also while it is paused: to see whether it works.</summary>
    public async Task FireAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Trigger trigger = triggers.Get(NameOf(context));
        DateTimeOffset now = time.GetUtcNow();
        string key = "by hand " + RunId.New(now).Text;
        CloudEvent e = trigger.Clock is not null
            ? ClockPass.EventOf(trigger, now)
            : TriggerFiring.Own(trigger, "trigger.fired", key, now, null, null, default);
        Firing made = await firing.FireAsync(trigger, key, e, null, null, null, context.RequestAborted);
        if (made.Run is null)
        {
            throw new BerthException(ErrorCode.Conflict, $"Trigger '{trigger.Name}' can't fire: {made.Detail}");
        }

        await JsonBody.WriteAsync(
            context, View(made), TriggerJson.Default.FiringView, StatusCodes.Status202Accepted);
    }

    internal static FiringView View(Firing made) => new(
        made.Key, made.At, NameOf(made.Outcome), made.Run?.Text, made.Detail);

    private async Task SetAsync(HttpContext context, bool isPaused)
    {
        _ = new QueryText(context.Request);
        string name = NameOf(context);
        (Trigger record, _) = await triggers.PutAsync(
            name, before => (before ?? triggers.Get(name)) with { IsPaused = isPaused }, context.RequestAborted);
        await JsonBody.WriteAsync(context, View(record, ShownTimes), TriggerJson.Default.TriggerView);
    }

    private static bool IsSame(Trigger before, Trigger after) =>
        TriggerDocument.Write(after with { CreatedAt = before.CreatedAt, Caller = before.Caller }).AsSpan()
            .SequenceEqual(TriggerDocument.Write(before));

    private async Task CheckVolumeAsync(TriggerRequest request, CancellationToken cancellationToken)
    {
        if (request.Volume is { } volume
            && (await storage.VolumesAsync(cancellationToken)).All(v => v.Name != volume))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"volume = '{Quoted.Of(volume)}' can't be used: there is no such volume; make it with 'berth volume "
                + "create'.");
        }
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private static string NameOf(FiringOutcome outcome) => outcome switch
    {
        FiringOutcome.Fired => "fired",
        FiringOutcome.Skipped => "skipped",
        FiringOutcome.Missed => "missed",
        _ => "failed",
    };

    private TriggerView View(Trigger trigger, int times) => new(
        trigger.Name, trigger.Kind, trigger.Function, trigger.IsPaused, trigger.CreatedAt, trigger.Caller,
        TriggerOrder.Write(trigger),
        Next: trigger is { Clock: { } clock, IsPaused: false }
            ? [.. clock.Times.Next(time.GetUtcNow(), times)]
            : null);
}

/// <summary>Requests as they come in: a member that there is not is a slip of the keyboard, and told.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(TriggerRequest))]
internal sealed partial class TriggerRequestJson : JsonSerializerContext;
