namespace Berth.Server.Metrics;

/// <summary>How long something took, counted by bucket. Recording takes no lock.</summary>
internal sealed class Histogram
{
    /// <summary>Upper bounds in seconds: from a prepared start (under a millisecond) to a long run.</summary>
    public static readonly double[] Bounds =
    [
        0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600,
    ];

    private readonly StripedCounter[] counts =
        [.. Enumerable.Range(0, Bounds.Length + 1).Select(_ => new StripedCounter())];
    private readonly StripedCounter ticks = new();

    /// <summary>Sum of everything recorded, in seconds.</summary>
    public double Sum => TimeSpan.FromTicks(ticks.Value).TotalSeconds;

    public void Record(TimeSpan duration)
    {
        double seconds = duration.TotalSeconds;
        int bucket = Array.BinarySearch(Bounds, seconds);
        counts[bucket < 0 ? ~bucket : bucket].Add(1);
        ticks.Add(duration.Ticks);
    }

    /// <summary>Counts of the buckets, each with those below it; the last is the number of all.</summary>
    public long[] Cumulative()
    {
        long[] sums = new long[counts.Length];
        long sum = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            sum += counts[i].Value;
            sums[i] = sum;
        }

        return sums;
    }
}
