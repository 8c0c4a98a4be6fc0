namespace Berth.Core.Callbacks;

/// <summary>
/// When a callback that failed is sent again: after 1 s, 2 s, 4 s … at most an hour apart, for a day.
/// </summary>
public static class CallbackSchedule
{
    /// <summary>Between two tries.</summary>
    public static TimeSpan Longest { get; } = TimeSpan.FromHours(1);

    public static TimeSpan GiveUpAfter { get; } = TimeSpan.FromHours(24);

    /// <summary>
    /// The time of the next try, or null to give up. <paramref name="attempt"/> is the number of tries so far.
    /// </summary>
    public static DateTimeOffset? Next(int attempt, DateTimeOffset firstDue, DateTimeOffset now)
    {
        TimeSpan wait = TimeSpan.FromSeconds(Math.Min(Longest.TotalSeconds, Math.Pow(2, Math.Min(attempt - 1, 30))));
        DateTimeOffset next = now + wait;
        return next - firstDue > GiveUpAfter ? null : next;
    }
}
