using System.Globalization;
using Berth.Api.Rollouts;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Rollouts;
using Berth.Server.Calls;

namespace Berth.Server.RolloutEndpoints;

/// <summary>Turns a request into a plan and back, and counts into figures.</summary>
internal static class RolloutOrder
{
    private const double Median = 0.5;

    /// <summary>Throws <c>InvalidRequest</c>.</summary>
    public static RolloutPlan Read(RolloutRequest request)
    {
        if (request.SuccessRate is < 0 or > 100)
        {
            throw new Asked("successRate", request.SuccessRate.Value.ToString(CultureInfo.InvariantCulture))
                .Refuse("expected more than 0 and at most 100 percent");
        }

        decimal rate = (decimal?)request.SuccessRate ?? RolloutPlan.DefaultSuccessRate;
        return new RolloutPlan(
            request.Steps ?? RolloutPlan.Canary,
            Time("interval", request.Interval) ?? RolloutPlan.DefaultInterval,
            request.MinCalls ?? RolloutPlan.DefaultMinCalls(rate), rate,
            request.LatencyP95 is { } budget ? LatencyBudget.Parse(budget) : null,
            Time("maxWait", request.MaxWait)).Check();
    }

    /// <summary>A request that would lead to the same.</summary>
    public static RolloutRequest Write(int revision, RolloutPlan plan) => new(
        revision, plan.Steps, Duration.Format(plan.Interval), plan.MinCalls, (double)plan.SuccessRate,
        plan.Latency?.ToString(), plan.MaxWait is { } wait ? Duration.Format(wait) : null);

    public static CallFigures FiguresOf(CallTally tally) => new(
        tally.Calls, tally.Failed, Milliseconds(tally.Quantile(Median)),
        Milliseconds(tally.Quantile(RolloutJudge.Share)));

    public static string NameOf(RolloutState state) => state switch
    {
        RolloutState.Running => "running",
        RolloutState.Paused => "paused",
        RolloutState.Promoted => "promoted",
        RolloutState.RolledBack => "rolled_back",
        RolloutState.Aborted => "aborted",
        _ => throw new InvalidOperationException($"{state} has no name on the wire."),
    };

    private static TimeSpan? Time(string member, string? text) => text is null ? null
        : Duration.TryParse(text, out TimeSpan time) ? time
        : throw new Asked(member, text).Refuse("write a number and a unit, such as 30s, 5m or 1h");

    private static double? Milliseconds(TimeSpan? time) =>
        time is { } known ? Math.Round(known.TotalMilliseconds, 3) : null;
}
