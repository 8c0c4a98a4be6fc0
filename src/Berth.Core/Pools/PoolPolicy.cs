namespace Berth.Core.Pools;

/// <summary>What is known about one sandbox shape.</summary>
/// <param name="Rate">Starts a second, smoothed.</param>
/// <param name="CreateTime">How long making one takes, smoothed.</param>
/// <param name="LastUsed">Last start, or last announcement that starts are to be expected.</param>
public sealed record PoolDemand<TKey>(TKey Key, double Rate, TimeSpan CreateTime, TimeSpan LastUsed)
    where TKey : notnull;

/// <summary>
/// Decides how many sandboxes of each shape should stand ready. A start that finds none waits for a whole creation,
/// so enough are kept to bridge the time until creations catch up with the arrivals.
/// </summary>
public static class PoolPolicy
{
    /// <summary>Arrivals come in bursts; twice the expected number during one creation covers most.</summary>
    private const double BurstFactor = 2;

    /// <summary>Weight of the newest observation in a smoothed value.</summary>
    private const double Smoothing = 0.2;

    /// <summary>Targets by key; shapes that should keep none are absent. <paramref name="now"/> is on the
    /// clock of <see cref="PoolDemand{TKey}.LastUsed"/>.</summary>
    public static IReadOnlyDictionary<TKey, int> Plan<TKey>(
        IReadOnlyCollection<PoolDemand<TKey>> demands, PoolLimits limits, TimeSpan now)
        where TKey : notnull
    {
        Dictionary<TKey, int> targets = [];
        int left = limits.MostReadyTogether;
        foreach (PoolDemand<TKey> demand in demands.OrderByDescending(d => d.LastUsed))
        {
            int target = Math.Min(TargetOf(demand, limits, now), left);
            if (target > 0)
            {
                targets[demand.Key] = target;
                left -= target;
            }
        }

        return targets;
    }

    /// <summary>The rate after one more start, <paramref name="sinceLast"/> after the one before.</summary>
    public static double Observe(double rate, TimeSpan sinceLast)
    {
        double newest = 1 / Math.Max(sinceLast.TotalSeconds, 0.001);
        return rate + (Smoothing * (newest - rate));
    }

    /// <summary>The smoothed creation time after one more took <paramref name="newest"/>.</summary>
    public static TimeSpan Observe(TimeSpan createTime, TimeSpan newest) =>
        createTime == TimeSpan.Zero ? newest : createTime + (Smoothing * (newest - createTime));

    private static int TargetOf<TKey>(PoolDemand<TKey> demand, PoolLimits limits, TimeSpan now)
        where TKey : notnull
    {
        TimeSpan idle = now - demand.LastUsed;
        if (idle >= limits.IdleExpiry)
        {
            return 0;
        }

        // A rate measured once says less the longer nothing came since.
        double rate = Math.Min(demand.Rate, 1 / Math.Max(idle.TotalSeconds, 0.001));
        double bridge = Math.Ceiling(rate * demand.CreateTime.TotalSeconds * BurstFactor);
        int wanted = limits.LeastReady + (int)Math.Min(bridge, limits.MostReady);
        return Math.Clamp(wanted, 0, limits.MostReady);
    }
}
