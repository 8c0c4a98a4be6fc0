using Berth.Core.Functions;

namespace Berth.Core.Rollouts;

/// <summary>Where a rollout is.</summary>
public enum RolloutState
{
    /// <summary>Judged, and moved on by itself.</summary>
    Running,

    /// <summary>Held by hand; still rolled back by itself.</summary>
    Paused,

    /// <summary>The revision has all calls.</summary>
    Promoted,

    /// <summary>It did not show what the plan asks for; calls go where they went before.</summary>
    RolledBack,

    /// <summary>Somebody ended it; calls go where they went before, or where they were sent.</summary>
    Aborted,
}

/// <summary>One thing that happened to a rollout.</summary>
/// <param name="Type">One of <see cref="RolloutEventTypes"/>.</param>
public sealed record RolloutEvent(DateTimeOffset At, string Type, string Detail);

/// <summary>Names of events on the wire.</summary>
public static class RolloutEventTypes
{
    public const string Started = "started";
    public const string Advanced = "advanced";
    public const string Paused = "paused";
    public const string Resumed = "resumed";
    public const string Promoted = "promoted";
    public const string RolledBack = "rolled_back";
    public const string Aborted = "aborted";
}

/// <summary>The newest rollout of a function, under way or ended. It is a part of the function's record, so that shares
/// and plan change together. <see cref="RolloutSteps"/> has every change.</summary>
/// <param name="Revision">The one that is to get all calls.</param>
/// <param name="Caller">Name of the token that started it.</param>
/// <param name="Step">Index of the plan's step.</param>
/// <param name="Since">When the step, the pause or the end began.</param>
/// <param name="Before">The shares without it: where a rollback leads.</param>
/// <param name="Earlier">What the function could be taken back to when it began.</param>
/// <param name="Baseline">p95 of the revisions before, when they last had calls enough; null where not known.</param>
/// <param name="Events">Newest last, at most <see cref="MaxEvents"/>.</param>
public sealed record Rollout(
    int Revision, RolloutPlan Plan, string Caller, RolloutState State, int Step, DateTimeOffset StartedAt,
    DateTimeOffset Since, TrafficSplit Before, TrafficSplit? Earlier, TimeSpan? Baseline,
    IReadOnlyList<RolloutEvent> Events)
{
    /// <summary>Only who pauses and resumes again and again gets there.</summary>
    public const int MaxEvents = 64;

    public bool IsUnderWay => State is RolloutState.Running or RolloutState.Paused;

    /// <summary>The revision's share in this step.</summary>
    public int Percent => Plan.Steps[Step];

    public bool IsLastStep => Step == Plan.Steps.Count - 1;

    /// <summary>Whether a way back leads to the revision.</summary>
    public bool Holds(int revision) =>
        IsUnderWay && (Revision == revision || Before.Holds(revision) || Earlier?.Holds(revision) == true);

    /// <summary>It as it is after <paramref name="state"/> began.</summary>
    public Rollout Then(RolloutState state, string type, DateTimeOffset now, string detail) => this with
    {
        State = state,
        Since = now,
        Events = [.. Events.TakeLast(MaxEvents - 1), new RolloutEvent(now, type, detail)],
    };
}
