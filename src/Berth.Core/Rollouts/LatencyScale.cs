namespace Berth.Core.Rollouts;

/// <summary>Buckets for times, each an eighth of an octave (9 %) wider than the one before, from 0.1 ms to over an
/// hour: as exact for a microservice as for a long run, in a fixed room.</summary>
public static class LatencyScale
{
    /// <summary>The first takes everything below 0.1 ms, the last everything above 1.3 hours.</summary>
    public const int Buckets = (PerOctave * 26) + 2;

    private const int PerOctave = 8;
    private const double Least = TimeSpan.TicksPerMillisecond / 10d;

    public static int IndexOf(TimeSpan time) => time.Ticks <= Least
        ? 0
        : Math.Min(Buckets - 1, (int)Math.Ceiling(Math.Round(Math.Log2(time.Ticks / Least) * PerOctave, 9)));

    /// <summary>The middle of the bucket; of the first and the last, where it ends and where it begins.</summary>
    public static TimeSpan TimeOf(int bucket) => TimeSpan.FromTicks((long)Math.Round(
        Least * Math.Pow(2, Math.Clamp(bucket - 0.5, 0, Buckets - 2) / PerOctave)));
}
