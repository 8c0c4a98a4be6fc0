using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Triggers;

namespace Berth.Core.Scaling;

/// <summary>What a schedule says at a moment.</summary>
/// <param name="Min">Instances that are to be kept; 0 outside of all windows.</param>
/// <param name="Open">The window that asks for them; null where none is open.</param>
/// <param name="Until">Before this nothing changes; null for ever.</param>
public readonly record struct WarmState(int Min, WarmWindow? Open, DateTimeOffset? Until);

/// <summary>The windows of a revision, of which the one that asks for the most counts. Immutable; equal to one of the
/// same windows.</summary>
public sealed class WarmSchedule : IEquatable<WarmSchedule>
{
    public const int MaxWindows = 16;

    private WarmSchedule(IReadOnlyList<WarmWindow> windows) => Windows = windows;

    /// <summary>Never empty.</summary>
    public IReadOnlyList<WarmWindow> Windows { get; }

    /// <summary>What any of them asks for at most.</summary>
    public int Most => Windows.Max(w => w.Min);

    /// <summary>Null for none.</summary>
    /// <exception cref="BerthException">InvalidRequest, for too many.</exception>
    public static WarmSchedule? Of(IReadOnlyList<WarmWindow> windows) => windows.Count switch
    {
        0 => null,
        <= MaxWindows => new WarmSchedule([.. windows]),
        _ => throw new BerthException(
            ErrorCode.InvalidRequest,
            $"warm has {windows.Count} windows, which are too many: at most {MaxWindows} can be given."),
    };

    public WarmState At(DateTimeOffset now)
    {
        WarmWindow? most = null;
        DateTimeOffset? until = null;
        foreach (WarmWindow window in Windows)
        {
            if (window.Min > (most?.Min ?? 0) && window.IsOpenAt(now))
            {
                most = window;
            }

            if (window.NextAfter(now) is { } next && !(until <= next))
            {
                until = next;
            }
        }

        return new WarmState(most?.Min ?? 0, most, until);
    }

    /// <summary>Which window is open, or opens next, a sentence.</summary>
    public string Tell(DateTimeOffset now)
    {
        if (At(now).Open is { } open)
        {
            return $"At least {Count(open.Min)} kept until {Moment(open.End, now)}: {open}.";
        }

        WarmWindow next = Windows.MinBy(w => w.Start.Next(now) ?? DateTimeOffset.MaxValue)!;
        return $"At least {Count(next.Min)} kept from {Moment(next.Start, now)} on: {next}.";
    }

    public bool Equals(WarmSchedule? other) => other is not null && Windows.SequenceEqual(other.Windows);

    public override bool Equals(object? obj) => Equals(obj as WarmSchedule);

    public override int GetHashCode() => Windows.Aggregate(0, HashCode.Combine);

    private static string Count(int instances) =>
        string.Create(CultureInfo.InvariantCulture, $"{instances} {(instances == 1 ? "is" : "are")}");

    private static string Moment(CronZone times, DateTimeOffset now) => times.Next(now) is { } next
        ? TimeZoneInfo.ConvertTime(next, times.Zone).ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture)
        : "never";
}
