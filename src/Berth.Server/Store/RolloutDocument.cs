using System.Text.Json.Serialization;
using Berth.Core.Rollouts;

namespace Berth.Server.Store;

/// <summary>A rollout as its function's document holds it.</summary>
internal sealed record RolloutDocument(
    int Revision, IReadOnlyList<int> Steps, TimeSpan Interval, int MinCalls, decimal SuccessRate, string? Latency,
    TimeSpan? MaxWait, string Caller, RolloutState State, int Step, DateTimeOffset StartedAt, DateTimeOffset Since,
    TrafficDocument Before, TrafficDocument? Earlier, TimeSpan? Baseline, IReadOnlyList<RolloutEvent> Events)
{
    [JsonIgnore]
    public Rollout Rollout => new(
        Revision,
        new RolloutPlan(
            Steps, Interval, MinCalls, SuccessRate, Latency is null ? null : LatencyBudget.Parse(Latency), MaxWait),
        Caller, State, Step, StartedAt, Since, Before.Split, Earlier?.Split, Baseline, Events);

    public static RolloutDocument Of(Rollout rollout)
    {
        RolloutPlan plan = rollout.Plan;
        return new RolloutDocument(
            rollout.Revision, plan.Steps, plan.Interval, plan.MinCalls, plan.SuccessRate, plan.Latency?.ToString(),
            plan.MaxWait, rollout.Caller, rollout.State, rollout.Step, rollout.StartedAt, rollout.Since,
            TrafficDocument.Of(rollout.Before),
            rollout.Earlier is null ? null : TrafficDocument.Of(rollout.Earlier), rollout.Baseline, rollout.Events);
    }
}
