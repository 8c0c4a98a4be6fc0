namespace Berth.Core.Triggers;

/// <summary>What happens at a time while the run of the time before has not ended.</summary>
public enum ClockConcurrency
{
    /// <summary>Another one beside it.</summary>
    Allow = 0,

    /// <summary>Nothing: the time is passed over.</summary>
    Forbid = 1,

    /// <summary>The one before is cancelled.</summary>
    Replace = 2,
}

/// <summary>What happens to times that passed while no server looked.</summary>
public enum MissedTimes
{
    /// <summary>Nothing.</summary>
    Skip = 0,

    /// <summary>The last of them is made up for.</summary>
    Once = 1,
}

/// <summary>When a clock fires.</summary>
/// <param name="CatchUp">How long ago a time may be that is made up for.</param>
public sealed record ClockSpec(
    CronZone Times, ClockConcurrency Concurrency, MissedTimes Missed, TimeSpan CatchUp)
{
    public static TimeSpan DefaultCatchUp { get; } = TimeSpan.FromHours(24);

    public static TimeSpan LongestCatchUp { get; } = TimeSpan.FromDays(30);

    /// <summary>What comes this late has not been missed: a busy server looks some seconds later.</summary>
    public static TimeSpan Tolerance { get; } = TimeSpan.FromSeconds(20);
}

/// <summary>What a clock has to do now.</summary>
/// <param name="Due">Times to fire for, in their order.</param>
/// <param name="Missed">The last of the times that are given up; null for none.</param>
public sealed record ClockPlan(IReadOnlyList<DateTimeOffset> Due, DateTimeOffset? Missed)
{
    private static readonly ClockPlan Nothing = new([], null);

    /// <param name="seen">The last time that was seen to, whether it fired or not.</param>
    public static ClockPlan At(ClockSpec clock, DateTimeOffset seen, DateTimeOffset now)
    {
        DateTimeOffset onTime = now - ClockSpec.Tolerance;
        List<DateTimeOffset> due = [];
        DateTimeOffset? missed = onTime > seen ? clock.Times.Last(seen, onTime) : null;
        if (missed is { } last && clock.Missed == MissedTimes.Once && now - last <= clock.CatchUp)
        {
            due.Add(last);
            missed = null;
        }

        DateTimeOffset? at = onTime > seen ? onTime : seen;
        while ((at = clock.Times.Next(at.Value)) <= now)
        {
            due.Add(at.Value);
        }

        return due.Count == 0 && missed is null ? Nothing : new ClockPlan(due, missed);
    }
}
