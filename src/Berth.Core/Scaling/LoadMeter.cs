namespace Berth.Core.Scaling;

/// <summary>How many calls there were at once, running and waiting, on average over the last seconds. Constant memory.
/// Times are on one clock that never goes back.</summary>
public sealed class LoadMeter
{
    /// <summary>Seconds that are remembered.</summary>
    private const int Length = 60;

    /// <summary>Calls times seconds, by second.</summary>
    private readonly double[] areas = new double[Length];
    private TimeSpan from;
    private TimeSpan last;
    private TimeSpan quietSince;

    public static TimeSpan Longest { get; } = TimeSpan.FromSeconds(Length);

    /// <summary>Calls now.</summary>
    public int Now { get; private set; }

    /// <summary>There are <paramref name="calls"/> from <paramref name="now"/> on.</summary>
    public void Set(int calls, TimeSpan now)
    {
        if (Now == 0 && calls > 0 && now - quietSince > Longest)
        {
            // What came long ago says nothing about how fast they come now.
            from = now;
        }

        Advance(now);
        if (calls == 0 && Now > 0)
        {
            quietSince = now;
        }

        Now = calls;
    }

    /// <summary>How long there was none; zero while there is one.</summary>
    public TimeSpan IdleAt(TimeSpan now) => Now > 0 ? TimeSpan.Zero : now - quietSince;

    /// <param name="window">At most <see cref="Longest"/>. Where the first calls came later than it begins, the average
    /// is that from then on, but of at least one second.</param>
    public double Average(TimeSpan window, TimeSpan now)
    {
        Advance(now);
        int seconds = Math.Clamp((int)window.TotalSeconds, 1, Length);
        double area = 0;
        long current = SecondOf(now);
        // The second under way counts with its part, and the oldest with the rest of it.
        double part = now.TotalSeconds - current;
        for (int back = 0; back < seconds && current - back >= 0; back++)
        {
            area += areas[(current - back) % Length];
        }

        double span = Math.Min(seconds - 1 + part, (now - from).TotalSeconds);
        return area / Math.Max(1, span);
    }

    private static long SecondOf(TimeSpan time) => (long)Math.Floor(time.TotalSeconds);

    private void Advance(TimeSpan now)
    {
        if (now <= last)
        {
            return;
        }

        if (now - last >= Longest)
        {
            Array.Fill(areas, Now);
            areas[SecondOf(now) % Length] = Now * (now.TotalSeconds - SecondOf(now));
            last = now;
            return;
        }

        for (long second = SecondOf(last); second <= SecondOf(now); second++)
        {
            double begin = Math.Max(second, last.TotalSeconds);
            double end = Math.Min(second + 1, now.TotalSeconds);
            if (second > SecondOf(last))
            {
                areas[second % Length] = 0;
            }

            areas[second % Length] += Now * (end - begin);
        }

        last = now;
    }
}
