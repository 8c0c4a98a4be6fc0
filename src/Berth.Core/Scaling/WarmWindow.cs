using Berth.Core.Triggers;

namespace Berth.Core.Scaling;

/// <summary>
/// A span of time that comes again and again, in which more instances are kept without calls: it opens at each moment
/// of <paramref name="start"/> and closes at the next one of <paramref name="end"/>, both by the clock of a place.
/// Where both are the same moment it is open. Immutable; equal to one that is written the same.
/// </summary>
/// <param name="min">Instances, 1 and more.</param>
public sealed class WarmWindow(CronZone start, CronZone end, int min) : IEquatable<WarmWindow>
{
    /// <summary>A window that opened before this and has not closed since is none that somebody wants: 29 February
    /// comes within it.</summary>
    private static readonly TimeSpan Horizon = TimeSpan.FromDays(5 * 366);

    public CronZone Start => start;

    public CronZone End => end;

    public int Min => min;

    /// <summary>Whether it was opened, and not closed since.</summary>
    public bool IsOpenAt(DateTimeOffset now) => start.Last(now - Horizon, now) is { } opened
        && !(end.Next(opened) <= now);

    /// <summary>The first moment after <paramref name="now"/> at which it may open or close; null for none.</summary>
    public DateTimeOffset? NextAfter(DateTimeOffset now)
    {
        DateTimeOffset? opens = start.Next(now);
        DateTimeOffset? closes = end.Next(now);
        return opens is null || closes < opens ? closes ?? opens : opens;
    }

    public bool Equals(WarmWindow? other) => other is not null && min == other.Min
        && start.Line.Text == other.Start.Line.Text && end.Line.Text == other.End.Line.Text
        && start.Zone.Id == other.Start.Zone.Id;

    public override bool Equals(object? obj) => Equals(obj as WarmWindow);

    public override int GetHashCode() => HashCode.Combine(start.Line.Text, end.Line.Text, start.Zone.Id, min);

    public override string ToString() => $"'{start.Line.Text}' to '{end.Line.Text}' {start.Zone.Id}";
}
