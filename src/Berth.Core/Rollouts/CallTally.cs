namespace Berth.Core.Rollouts;

/// <summary>Counts of ended calls at one moment. Two of them give what lies between: memory does not grow with calls.
/// </summary>
/// <param name="Succeeded">Calls that were answered as they should be.</param>
/// <param name="Failed">Calls that failed by the program's own fault.</param>
/// <param name="Times">How long those that succeeded took, by <see cref="LatencyScale"/>.</param>
public sealed record CallTally(long Succeeded, long Failed, uint[] Times)
{
    public static CallTally None { get; } = new(0, 0, new uint[LatencyScale.Buckets]);

    public long Calls => Succeeded + Failed;

    /// <summary>What came after <paramref name="earlier"/>. Buckets may have gone round meanwhile.</summary>
    public CallTally Since(CallTally earlier) => new(
        Succeeded - earlier.Succeeded, Failed - earlier.Failed,
        [.. Times.Zip(earlier.Times, static (now, then) => unchecked(now - then))]);

    public CallTally Plus(CallTally other) => new(
        Succeeded + other.Succeeded, Failed + other.Failed,
        [.. Times.Zip(other.Times, static (one, two) => unchecked(one + two))]);

    /// <summary>The time within which <paramref name="share"/> (0 to 1) of the calls that succeeded were done, within
    /// 5 %; null where none did.</summary>
    public TimeSpan? Quantile(double share)
    {
        long all = Times.Sum(static count => (long)count);
        if (all == 0)
        {
            return null;
        }

        long rank = Math.Clamp((long)Math.Ceiling(share * all), 1, all);
        int bucket = 0;
        for (long seen = Times[0]; seen < rank; seen += Times[bucket])
        {
            bucket++;
        }

        return LatencyScale.TimeOf(bucket);
    }
}
