using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Core.Rollouts;

/// <summary>What is to be done with a step of a rollout.</summary>
public enum RolloutDecision
{
    Wait,

    /// <summary>The step is passed.</summary>
    Advance,

    RollBack,
}

/// <param name="Sentence">Why, with its numbers.</param>
public sealed record RolloutVerdict(RolloutDecision Decision, string Sentence);

/// <summary>What a step's window of time has shown.</summary>
/// <param name="Elapsed">Its length so far.</param>
/// <param name="New">Calls of the new revision in it.</param>
/// <param name="Old">Calls of the revisions before in it.</param>
/// <param name="Baseline">p95 of the revisions before from earlier, for where they have too few calls now; null where
/// it is not known.</param>
public sealed record RolloutWindow(TimeSpan Elapsed, CallTally New, CallTally Old, TimeSpan? Baseline)
{
    /// <summary>One that has just begun.</summary>
    public static RolloutWindow None { get; } = new(TimeSpan.Zero, CallTally.None, CallTally.None, Baseline: null);
}

/// <summary>Decides from counts alone. Pure.</summary>
public static class RolloutJudge
{
    /// <summary>Of the calls, whose times a budget is about.</summary>
    public const double Share = 0.95;

    /// <param name="mayExpire">Whether too long a wait for calls rolls back.</param>
    public static RolloutVerdict Judge(RolloutPlan plan, int revision, RolloutWindow window, bool mayExpire = true)
    {
        CallTally calls = window.New;
        string name = string.Create(CultureInfo.InvariantCulture, $"Revision {revision}");

        // 1. Failures count at once: no further call can make good what is over the budget of them all.
        long allowed = plan.FailuresAllowed(Math.Max(calls.Calls, plan.MinCalls));
        if (calls.Failed > allowed)
        {
            return new RolloutVerdict(
                RolloutDecision.RollBack,
                Text($"{name} failed {calls.Failed:N0} of {Count(calls.Calls)} ({Rate(calls)} succeeded); ")
                + Text($"a success rate of {plan.SuccessRate:0.####} % allows {allowed:N0}."));
        }

        // 2. Too few calls are no proof of anything.
        if (calls.Calls < plan.MinCalls)
        {
            string seen = Text($"{name} was called {calls.Calls:N0} of {plan.MinCalls:N0} times");
            return mayExpire && window.Elapsed >= plan.MaxWait
                ? new RolloutVerdict(
                    RolloutDecision.RollBack,
                    $"{seen} in {Span(window.Elapsed)}: too few to judge it by, and the plan waits no longer.")
                : new RolloutVerdict(RolloutDecision.Wait, $"{seen}{Failures(calls)}.");
        }

        if (window.Elapsed < plan.Interval)
        {
            return new RolloutVerdict(
                RolloutDecision.Wait,
                $"{Healthy(name, calls)}; {Span(plan.Interval - window.Elapsed)} of {Span(plan.Interval)} are left.");
        }

        // 3. Times count at the end: a revision's first calls find nothing warm.
        return JudgeLatency(plan, name, window);
    }

    /// <summary>p95 of the revisions before: from the same window where they had calls enough.</summary>
    public static TimeSpan? OldLatency(RolloutPlan plan, RolloutWindow window) => window.Old.Calls >= plan.MinCalls
        ? window.Old.Quantile(Share) ?? window.Baseline
        : window.Baseline;

    private static RolloutVerdict JudgeLatency(RolloutPlan plan, string name, RolloutWindow window)
    {
        string healthy = Healthy(name, window.New);
        if (plan.Latency is not { } budget || window.New.Quantile(Share) is not { } p95)
        {
            return new RolloutVerdict(RolloutDecision.Advance, healthy + ".");
        }

        if (budget.Limit(OldLatency(plan, window)) is not { } limit)
        {
            return new RolloutVerdict(
                RolloutDecision.Advance,
                $"{healthy}; its times are not judged, as the revisions before had too few calls to compare with.");
        }

        string measured = $"95 of 100 calls took at most {Time(p95)}";
        string allowed = budget.Factor is { } factor
            ? Text($"{Time(limit)} ({factor:0.####} times the {Time(OldLatency(plan, window)!.Value)} before)")
            : Time(limit);
        return p95 > limit
            ? new RolloutVerdict(
                RolloutDecision.RollBack, $"{name} is too slow: {measured}; the budget is {allowed}.")
            : new RolloutVerdict(RolloutDecision.Advance, $"{healthy}; {measured}, within {allowed}.");
    }

    private static string Healthy(string name, CallTally calls) =>
        Text($"{name} answered {calls.Succeeded:N0} of {Count(calls.Calls)} well");

    private static string Failures(CallTally calls) => calls.Failed == 0 ? "" : Text($" and failed {calls.Failed:N0}");

    private static string Count(long calls) => calls == 1 ? "1 call" : Text($"{calls:N0} calls");

    /// <summary>Rounded down: what is below a budget is never told as being at it.</summary>
    private static string Rate(CallTally calls) =>
        Text($"{Math.Floor(1000d * calls.Succeeded / calls.Calls) / 10:0.#} %");

    private static string Time(TimeSpan time) => time.TotalMilliseconds < 10
        ? Text($"{time.TotalMilliseconds:0.0} ms")
        : Text($"{time.TotalMilliseconds:N0} ms");

    private static string Span(TimeSpan span) => Duration.Format(
        TimeSpan.FromSeconds(Math.Max(1, Math.Ceiling(span.TotalSeconds))));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
