using Berth.Core.Rollouts;

namespace Berth.Tests.Rollouts;

/// <summary>Counts for tests.</summary>
internal static class Tallies
{
    /// <param name="ms">What each call that succeeded took.</param>
    public static CallTally Of(int succeeded, int failed = 0, double ms = 5)
    {
        uint[] times = new uint[LatencyScale.Buckets];
        times[LatencyScale.IndexOf(TimeSpan.FromMilliseconds(ms))] = (uint)succeeded;
        return new CallTally(succeeded, failed, times);
    }

    public static RolloutPlan Plan(params int[] steps) => new(
        steps.Length == 0 ? RolloutPlan.Canary : steps, TimeSpan.FromMinutes(1), 100, 99, null, null);
}
