using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;

namespace Berth.Core.Triggers;

/// <summary>
/// Moments of a calendar, written as for cron(8): <c>MINUTE HOUR DAY MONTH WEEKDAY</c>, with a field of seconds before
/// them where there are six, or <c>@hourly</c> and its like. Where both days are restricted, either may match. Knows no
/// zone and no clock: <see cref="CronZone"/> brings it to one.
/// </summary>
public sealed class CronLine
{
    /// <summary>A longer one is no line that somebody wrote.</summary>
    public const int MaxLength = 256;

    /// <summary>A day that comes at all comes within this: 29 February, across a century that has none.</summary>
    private const int HorizonYears = 9;

    private static readonly FrozenDictionary<string, string> Words = new Dictionary<string, string>
    {
        ["@yearly"] = "0 0 1 1 *",
        ["@annually"] = "0 0 1 1 *",
        ["@monthly"] = "0 0 1 * *",
        ["@weekly"] = "0 0 * * 0",
        ["@daily"] = "0 0 * * *",
        ["@midnight"] = "0 0 * * *",
        ["@hourly"] = "0 * * * *",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    private readonly CronField seconds;
    private readonly CronField minutes;
    private readonly CronField hours;
    private readonly CronField days;
    private readonly CronField months;
    private readonly CronField weekdays;

    private CronLine(string text, CronField[] fields)
    {
        Text = text;
        (seconds, minutes, hours) = (fields[0], fields[1], fields[2]);
        (days, months, weekdays) = (fields[3], fields[4], fields[5]);
    }

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>It names hours: it means times of the day. Otherwise it means spans between them.</summary>
    public bool NamesHours => !hours.IsWild;

    public static bool TryParse(string? text, [NotNullWhen(true)] out CronLine? line)
    {
        line = null;
        if (text is null || text.Length > MaxLength)
        {
            return false;
        }

        string trimmed = text.Trim(' ', '\t');
        string[] words = Words.GetValueOrDefault(trimmed, trimmed).Split(
            [' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        string[] six = words.Length == 5 ? ["0", .. words] : words;
        CronField[] fields = new CronField[6];
        if (six.Length != 6
            || !CronField.TryParse(six[0], 0, 59, null, out fields[0])
            || !CronField.TryParse(six[1], 0, 59, null, out fields[1])
            || !CronField.TryParse(six[2], 0, 23, null, out fields[2])
            || !CronField.TryParse(six[3], 1, 31, null, out fields[3])
            || !CronField.TryParse(six[4], 1, 12, CronField.Months, out fields[4])
            || !CronField.TryParse(six[5], 0, 7, CronField.Days, out fields[5]))
        {
            return false;
        }

        // 7 is Sunday, too.
        ulong weekdayBits = (fields[5].Bits | (fields[5].Bits >> 7)) & 0x7F;
        fields[5] = fields[5] with { Bits = weekdayBits };
        line = new CronLine(trimmed, fields);
        return true;
    }

    /// <summary>Whether a moment of the calendar, to the second, is one of its.</summary>
    public bool Matches(DateTime local) =>
        seconds.Has(local.Second) && minutes.Has(local.Minute) && hours.Has(local.Hour) && MatchesDay(local);

    /// <summary>The first of its moments that is not before <paramref name="local"/>; null where none comes.</summary>
    public DateTime? From(DateTime local)
    {
        DateTime second = new(local.Ticks - (local.Ticks % TimeSpan.TicksPerSecond));
        DateTime start = second == local ? second : second.AddSeconds(1);
        int lastYear = Math.Min(start.Year + HorizonYears, DateTime.MaxValue.Year - 1);
        TimeSpan from = start.TimeOfDay;
        for (DateTime day = start.Date; day.Year <= lastYear; day = NextDay(day))
        {
            if (MatchesDay(day) && TimeFrom(from) is { } time)
            {
                return day + time;
            }

            from = TimeSpan.Zero;
        }

        return null;
    }

    public override string ToString() => Text;

    /// <summary>Months that don't match are passed over as a whole.</summary>
    private DateTime NextDay(DateTime day) =>
        months.Has(day.Month) ? day.AddDays(1) : new DateTime(day.Year, day.Month, 1).AddMonths(1);

    private bool MatchesDay(DateTime local)
    {
        if (!months.Has(local.Month))
        {
            return false;
        }

        bool day = days.Has(local.Day);
        bool weekday = weekdays.Has((int)local.DayOfWeek);
        return days.IsWild || weekdays.IsWild ? day && weekday : day || weekday;
    }

    private TimeSpan? TimeFrom(TimeSpan from)
    {
        for (int hour = hours.From(from.Hours); hour >= 0; hour = hours.From(hour + 1))
        {
            bool sameHour = hour == from.Hours;
            for (int minute = minutes.From(sameHour ? from.Minutes : 0); minute >= 0;
                minute = minutes.From(minute + 1))
            {
                int second = seconds.From(sameHour && minute == from.Minutes ? from.Seconds : 0);
                if (second >= 0)
                {
                    return new TimeSpan(hour, minute, second);
                }
            }
        }

        return null;
    }
}
