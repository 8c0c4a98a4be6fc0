using Berth.Core.Triggers;

namespace Berth.Server.Calls;

/// <summary>Times of a calendar as a request gives them.</summary>
internal static class CronRules
{
    /// <exception cref="Core.Errors.BerthException">InvalidRequest.</exception>
    public static CronZone Times(Asked line, Asked zone)
    {
        if (!CronLine.TryParse(line.Text, out CronLine? parsed))
        {
            throw line.Refuse(
                "expected MINUTE HOUR DAY MONTH WEEKDAY, with SECOND before them where there are six, or one of "
                + "@hourly, @daily, @weekly, @monthly and @yearly");
        }

        CronZone times = new(parsed, Zone(zone));
        return times.Next(DateTimeOffset.UnixEpoch.AddYears(50)) is null
            ? throw line.Refuse("no day of the calendar is such a one")
            : times;
    }

    private static TimeZoneInfo Zone(Asked zone)
    {
        const int MaxId = 64;
        string id = zone.Text ?? "UTC";
        // What the machine reads a file of must not lead anywhere.
        bool isName = id.Length is > 0 and <= MaxId
            && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '_' or '-' or '+') && id[0] != '/';
        return isName && TimeZoneInfo.TryFindSystemTimeZoneById(id, out TimeZoneInfo? found)
            ? found
            : throw zone.Refuse(
                "expected a name such as UTC or Europe/Berlin of the server's own list, which is its package tzdata");
    }
}
