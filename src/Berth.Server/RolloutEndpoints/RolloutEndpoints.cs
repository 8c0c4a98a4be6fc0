using System.Text.Json.Serialization;
using Berth.Api.Rollouts;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Rollouts;
using Berth.Server.Access;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RolloutEndpoints;

/// <summary>Rollouts of functions: begun, told about, held and ended.</summary>
internal sealed class RolloutEndpoints(
    FunctionManager functions, RolloutPass pass, RevisionMeters meters, TimeProvider time)
{
    public Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return WriteAsync(context, functions.Get(NameOf(context)));
    }

    public async Task StartAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        RolloutRequest request = await JsonBody.ReadAsync(context, RolloutRequestJson.Default.RolloutRequest);
        FunctionEntry entry = await functions.RollOutAsync(
            NameOf(context), request.Revision, RolloutOrder.Read(request), request.Sticky, Caller.Of(context).Name,
            context.RequestAborted);
        await WriteAsync(context, entry);
    }

    public async Task AbortAsync(HttpContext context)
    {
        await ChangeAsync(context, RolloutSteps.Abort);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public Task PromoteAsync(HttpContext context) => StepAsync(
        context, (function, caller, now) => RolloutSteps.Promote(function, $"Promoted by {caller}.", now));

    public Task PauseAsync(HttpContext context) => StepAsync(context, RolloutSteps.Pause);

    public Task ResumeAsync(HttpContext context) => StepAsync(context, RolloutSteps.Resume);

    private async Task StepAsync(HttpContext context, Func<Function, string, DateTimeOffset, Function> step) =>
        await WriteAsync(context, await ChangeAsync(context, step));

    private Task<FunctionEntry> ChangeAsync(
        HttpContext context, Func<Function, string, DateTimeOffset, Function> step)
    {
        _ = new QueryText(context.Request);
        string caller = Caller.Of(context).Name;
        return functions.ChangeAsync(
            NameOf(context), function => step(function, caller, time.GetUtcNow()), context.RequestAborted);
    }

    private Task WriteAsync(HttpContext context, FunctionEntry entry) =>
        JsonBody.WriteAsync(context, View(entry.Record), RolloutJson.Default.RolloutView);

    private RolloutView View(Function function)
    {
        Rollout rollout = function.Rollout ?? throw new BerthException(
            ErrorCode.NotFound,
            $"Function '{function.Name}' has had no rollout: 'berth rollout start' or 'berth function deploy --canary' "
            + "begins one.");
        RolloutWatch? watch = rollout.IsUnderWay ? pass.Find(function) : null;
        string verdict = !rollout.IsUnderWay ? rollout.Events[^1].Detail
            : (watch?.Verdict ?? RolloutJudge.Judge(rollout.Plan, rollout.Revision, RolloutWindow.None)).Sentence;
        IEnumerable<int> revisions = [rollout.Revision, .. rollout.Before.Shares.Select(s => s.Revision)];
        return new RolloutView(
            function.Name, rollout.Revision, RolloutOrder.NameOf(rollout.State), rollout.Step + 1, rollout.StartedAt,
            rollout.Since, rollout.Caller, RolloutOrder.Write(rollout.Revision, rollout.Plan), verdict,
            [.. revisions.Select(number => new RolloutShare(
                number, function.Traffic.Shares.FirstOrDefault(s => s.Revision == number)?.Percent ?? 0,
                RolloutOrder.FiguresOf(Tally(function, rollout, watch, number))))],
            [.. rollout.Events.Select(e => new RolloutEventView(e.At, e.Type, e.Detail))]);
    }

    private CallTally Tally(Function function, Rollout rollout, RolloutWatch? watch, int revision) =>
        watch?.Of(revision)
            ?? (rollout.IsUnderWay ? CallTally.None : meters.Recent(function.Name, [revision]));

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;
}

/// <summary>Requests as they come in: a member that there is not is a slip of the keyboard, and told.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(RolloutRequest))]
internal sealed partial class RolloutRequestJson : JsonSerializerContext;
