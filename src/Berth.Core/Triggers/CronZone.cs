namespace Berth.Core.Triggers;

/// <summary>
/// Brings a <see cref="CronLine"/> to the clock of a place. Where that clock is changed, times of the day stay what
/// they mean: one that is skipped comes at the moment of the change, one that is there twice comes the first time
/// alone. A line whose hours are <c>*</c> means spans instead: it has no moment in what is skipped, and all in what is
/// there twice.
/// </summary>
public sealed class CronZone(CronLine line, TimeZoneInfo zone)
{
    /// <summary>No zone changes its clock twice within one.</summary>
    private static readonly TimeSpan Stride = TimeSpan.FromHours(12);

    /// <summary>No clock goes back by more.</summary>
    private static readonly TimeSpan LongestRepeat = TimeSpan.FromHours(3);

    public CronLine Line => line;

    public TimeZoneInfo Zone => zone;

    /// <summary>The first moment after <paramref name="moment"/>, in UTC; null where none comes.</summary>
    public DateTimeOffset? Next(DateTimeOffset moment)
    {
        DateTime from = moment.UtcDateTime.AddTicks(1);
        while (true)
        {
            TimeSpan offset = OffsetAt(from);
            DateTime? found = line.From(Local(from, offset));
            DateTime? next = found is { } local ? Utc(local, offset) : null;
            DateTime? change = ChangeBetween(from, next ?? from.AddYears(1), offset);
            if (change is null)
            {
                if (next is not { } utc)
                {
                    return null;
                }

                if (line.NamesHours && IsSecondTime(utc, offset))
                {
                    from = utc.AddTicks(1);
                    continue;
                }

                return new DateTimeOffset(utc, TimeSpan.Zero);
            }

            if (line.NamesHours && Skips(change.Value, offset))
            {
                return new DateTimeOffset(change.Value, TimeSpan.Zero);
            }

            from = change.Value;
        }
    }

    /// <summary>The next few, in the zone's own time.</summary>
    public IEnumerable<DateTimeOffset> Next(DateTimeOffset moment, int count)
    {
        DateTimeOffset? at = moment;
        for (int i = 0; i < count && (at = Next(at.Value)) is { } next; i++)
        {
            yield return TimeZoneInfo.ConvertTime(next, zone);
        }
    }

    /// <summary>The last moment after <paramref name="after"/> and not after <paramref name="until"/>; null for none.
    /// </summary>
    public DateTimeOffset? Last(DateTimeOffset after, DateTimeOffset until)
    {
        // From ever further back, so that a line of every second does not have to be counted through.
        for (TimeSpan back = TimeSpan.FromMinutes(1); ; back *= 4)
        {
            bool all = until - after <= back;
            DateTimeOffset? last = null;
            DateTimeOffset? at = all ? after : until - back;
            while ((at = Next(at.Value)) <= until)
            {
                last = at;
            }

            if (last is not null || all)
            {
                return last;
            }
        }
    }

    private TimeSpan OffsetAt(DateTime utc) => zone.GetUtcOffset(utc);

    private static DateTime Local(DateTime utc, TimeSpan offset) => new(utc.Ticks + offset.Ticks);

    private static DateTime Utc(DateTime local, TimeSpan offset) =>
        new(local.Ticks - offset.Ticks, DateTimeKind.Utc);

    /// <summary>The first moment after <paramref name="from"/>, and not after <paramref name="until"/>, at which the
    /// clock is changed.</summary>
    private DateTime? ChangeBetween(DateTime from, DateTime until, TimeSpan offset)
    {
        if (!zone.SupportsDaylightSavingTime)
        {
            return null;
        }

        DateTime same = from;
        while (same < until)
        {
            DateTime other = until - same > Stride ? same + Stride : until;
            if (OffsetAt(other) == offset)
            {
                same = other;
                continue;
            }

            while (other.Ticks - same.Ticks > 1)
            {
                DateTime middle = same.AddTicks((other.Ticks - same.Ticks) / 2);
                (same, other) = OffsetAt(middle) == offset ? (middle, other) : (same, middle);
            }

            return other;
        }

        return null;
    }

    /// <summary>Whether a moment of the line is in what the clock passes over by a change.</summary>
    /// <param name="before">The offset until the change.</param>
    private bool Skips(DateTime change, TimeSpan before)
    {
        TimeSpan after = OffsetAt(change);
        return after > before && line.From(Local(change, before)) < Local(change, after);
    }

    /// <summary>Whether the clock has shown the same time before, with the offset that it had then. Asked of the
    /// offsets alone: that a time is ambiguous is not known of zones whose clock goes back in summer.</summary>
    private bool IsSecondTime(DateTime utc, TimeSpan offset)
    {
        TimeSpan before = OffsetAt(utc - LongestRepeat);
        return before > offset && OffsetAt(utc - (before - offset)) == before;
    }
}
