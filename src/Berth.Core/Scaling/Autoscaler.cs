using System.Globalization;

namespace Berth.Core.Scaling;

/// <param name="Stable">Calls at once, running and waiting, on average over <see cref="Autoscaler.StableWindow"/>.
/// </param>
/// <param name="Burst">The same over <see cref="Autoscaler.BurstWindow"/>.</param>
/// <param name="Now">The same at this moment.</param>
/// <param name="Idle">How long there was no call.</param>
public readonly record struct LoadFigures(double Stable, double Burst, int Now, TimeSpan Idle);

/// <param name="Wanted">Instances.</param>
/// <param name="Why">The numbers it comes from, a sentence.</param>
public sealed record ScaleDecision(int Wanted, string Why);

/// <summary>
/// Decides how many instances a revision needs, from how many calls there are at once. Two windows: over the long one
/// it follows the load calmly; when the short one asks for twice of what there is, it grows at once and does not shrink
/// until a whole long window has passed. What waits now is answered without waiting for a window, by at most doubling:
/// instances take milliseconds to start here. Pure: time and figures come from outside.
/// </summary>
/// <param name="concurrency">Calls that one instance takes at once.</param>
public sealed class Autoscaler(ScaleSpec spec, int concurrency)
{
    private ScaleSpec spec = spec;

    private readonly LinkedList<(TimeSpan At, int Wanted)> recent = new();
    private TimeSpan burstEnd = TimeSpan.MinValue;
    private int burstPeak;
    private (DateTimeOffset Since, WarmState State)? warm;

    public static TimeSpan StableWindow => LoadMeter.Longest;

    public static TimeSpan BurstWindow { get; } = TimeSpan.FromSeconds(6);

    /// <summary>Calls aimed at in each instance.</summary>
    private double Aim => Math.Max(1, concurrency * spec.Target / 100.0);

    /// <summary>From now on by other settings. What is known of the load stays; how many were wanted before does not
    /// keep there from being fewer.</summary>
    public void Rescale(ScaleSpec next)
    {
        spec = next;
        warm = null;
        recent.Clear();
    }

    /// <param name="ready">Instances that take calls.</param>
    /// <param name="routed">Whether calls are routed to the revision, so that the minimum is kept.</param>
    /// <param name="now">Never goes back.</param>
    /// <param name="date">What the calendar says now, for windows; may jump.</param>
    public ScaleDecision Decide(
        LoadFigures load, int ready, int starting, bool routed, TimeSpan now, DateTimeOffset date)
    {
        int stable = InstancesFor(load.Stable, Aim);
        int burst = InstancesFor(load.Burst, Aim);
        if (ready > 0 && burst >= 2 * ready)
        {
            burstEnd = now + StableWindow;
        }

        bool isBurst = now < burstEnd;
        burstPeak = isBurst ? Math.Max(burstPeak, Math.Max(burst, stable)) : 0;
        int wanted = isBurst ? burstPeak : stable;

        // What runs and waits now needs room now.
        int atOnce = Math.Min(InstancesFor(load.Now, concurrency), Math.Max(1, 2 * ready));
        wanted = Math.Max(wanted, load.Now > 0 ? atOnce : 0);
        // The last one goes by the idle time alone, whatever the windows remember.
        bool isIdle = load.Now == 0 && load.Idle >= spec.IdleExpiry;
        bool lingers = wanted == 0 && !isIdle && ready + starting > 0;
        wanted = isIdle ? 0 : lingers ? 1 : wanted;
        int held = Hold(wanted, now);
        WarmState kept = routed ? Warm(date) : default;
        int least = routed ? Math.Max(spec.Min, kept.Min) : 0;
        int bounded = Math.Clamp(held, Math.Min(least, spec.Max), spec.Max);
        return new ScaleDecision(bounded, Explain(
            load, isBurst, lingers, wanted, held, bounded, kept.Min > spec.Min ? kept.Open : null));
    }

    private static int InstancesFor(double calls, double each) =>
        (int)Math.Min(int.MaxValue, Math.Ceiling(calls / each));

    /// <summary>Looked up anew when something may have changed: a calendar is slow to ask.</summary>
    private WarmState Warm(DateTimeOffset date)
    {
        if (spec.Warm is not { } schedule)
        {
            return default;
        }

        if (warm is not { } known || date < known.Since || date >= known.State.Until)
        {
            warm = known = (date, schedule.At(date));
        }

        return known.State;
    }

    /// <summary>The most that was wanted within the delay before shrinking.</summary>
    private int Hold(int wanted, TimeSpan now)
    {
        while (recent.Last is { } last && last.Value.Wanted <= wanted)
        {
            recent.RemoveLast();
        }

        recent.AddLast((now, wanted));
        while (recent.First is { } first && now - first.Value.At > spec.DownDelay)
        {
            recent.RemoveFirst();
        }

        return recent.First!.Value.Wanted;
    }

    private string Explain(
        LoadFigures load, bool isBurst, bool lingers, int wanted, int held, int bounded, WarmWindow? open)
    {
        string figures = string.Create(
            CultureInfo.InvariantCulture,
            $"{load.Stable:0.#} calls at once over {StableWindow.TotalSeconds:0} s, {load.Burst:0.#} over "
            + $"{BurstWindow.TotalSeconds:0} s, {load.Now} now; {Aim:0.#} aimed at in each");
        string reason = lingers
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"the last one stays for {spec.IdleExpiry.TotalSeconds:0} s without calls")
            : isBurst ? "a burst: no shrinking until it is over" : "calm";
        string limit = bounded > held ? $"; at least {bounded} are kept{(open is null ? "" : $" in the window {open}")}"
            : bounded < held ? $"; {held} are needed, but at most {bounded} allowed"
            : held > wanted
                ? string.Create(
                    CultureInfo.InvariantCulture,
                    $"; {wanted} would do, and are kept to when that has lasted {spec.DownDelay.TotalSeconds:0} s")
                : "";
        return $"{bounded} wanted: {figures}; {reason}{limit}.";
    }
}
