using System.Globalization;
using Berth.Core.Triggers;
using Xunit;

namespace Berth.Tests.Triggers;

/// <summary>Cron lines, the calendar and the clocks of places.</summary>
public sealed class CronTests
{
    private static readonly string[] Zones =
    [
        "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns",
        "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo", "Asia/Tehran",
    ];

    [Theory]
    [InlineData("* * * * *", "2026-03-01 00:00:00", "2026-03-01 00:00:00")]
    [InlineData("30 4 * * *", "2026-03-01 04:30:01", "2026-03-02 04:30:00")]
    [InlineData("*/15 * * * *", "2026-12-31 23:46:00", "2027-01-01 00:00:00")]
    [InlineData("5/20 * * * *", "2026-01-01 00:06:00", "2026-01-01 00:25:00")]
    [InlineData("0 9-17/4 * * mon-FRI", "2026-11-20 17:00:01", "2026-11-23 09:00:00")]
    [InlineData("0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00")]
    [InlineData("0 0 13 * 5", "2026-11-14 00:00:00", "2026-11-20 00:00:00")]
    [InlineData("0 0 */2 * 1", "2026-11-01 00:00:00", "2026-11-09 00:00:00")]
    [InlineData("0 12 * * 7", "2026-11-16 00:00:00", "2026-11-22 12:00:00")]
    [InlineData("*/10 0 3 * * *", "2026-11-22 03:00:41", "2026-11-22 03:00:50")]
    [InlineData("0 0 1 jan,jul *", "2026-01-02 00:00:00", "2026-07-01 00:00:00")]
    [InlineData("@weekly", "2026-11-16 00:00:00", "2026-11-22 00:00:00")]
    [InlineData("@yearly", "2026-11-16 00:00:00", "2027-01-01 00:00:00")]
    [InlineData("0 0 31 4 *", "2026-11-16 00:00:00", null)]
    public void A_line_has_the_moments_that_cron_would_give_it(string text, string from, string? expected)
    {
        Assert.True(CronLine.TryParse(text, out CronLine? line));

        DateTime? next = line.From(DateTime.Parse(from, CultureInfo.InvariantCulture));

        Assert.Equal(expected, next?.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
    }

    [Theory]
    [InlineData("")]
    [InlineData("* * * *")]
    [InlineData("* * * * * * *")]
    [InlineData("60 * * * *")]
    [InlineData("* 24 * * *")]
    [InlineData("* * 0 * *")]
    [InlineData("* * * 13 *")]
    [InlineData("* * * * 8")]
    [InlineData("5-1 * * * *")]
    [InlineData("*/0 * * * *")]
    [InlineData("*/60 * * * *")]
    [InlineData("1,,2 * * * *")]
    [InlineData("-1 * * * *")]
    [InlineData("+1 * * * *")]
    [InlineData("1.5 * * * *")]
    [InlineData("* * * mon *")]
    [InlineData("* * L * *")]
    [InlineData("@reboot")]
    [InlineData("@Daily")]
    [InlineData("٣ * * * *")]
    public void What_is_no_line_is_refused(string text) => Assert.False(CronLine.TryParse(text, out _));

    /// <summary>The clocks of Berlin go forward at 2:00 on 29 March 2026, and back at 3:00 on 25 October.</summary>
    [Theory]
    // What is skipped comes at the change, once; what is there twice comes the first time.
    [InlineData("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z")]
    [InlineData("0,30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z")]
    [InlineData("0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T01:00:00Z")]
    [InlineData("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z")]
    [InlineData("30 2 * * *", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z")]
    // Spans go on as time does.
    [InlineData("30 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z 2026-03-29T01:30:00Z")]
    [InlineData("30 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z")]
    [InlineData("0 */2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z")]
    public void Where_a_clock_is_changed_times_of_the_day_stay_what_they_mean(
        string text, string from, string expected)
    {
        CronZone times = Zoned(text, "Europe/Berlin");

        string[] moments = expected.Split(' ');
        IEnumerable<string> found = times.Next(Moment(from), moments.Length)
            .Select(m => m.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));

        Assert.Equal(moments, found);
    }

    [Fact]
    public void Every_next_time_is_what_a_look_at_each_minute_finds()
    {
        Random random = new(2026);
        int found = 0;
        for (int i = 0; i < 300; i++)
        {
            CronZone times = Zoned(RandomLine(random), Zones[random.Next(Zones.Length)]);
            DateTimeOffset from = NearAChange(random, times.Zone);
            DateTimeOffset until = from.AddDays(4);

            List<DateTimeOffset> naive = [.. EachMinute(times, from, until)];
            List<DateTimeOffset> own = [];
            for (DateTimeOffset? at = times.Next(from); at <= until; at = times.Next(at.Value))
            {
                own.Add(at.Value);
            }

            Assert.True(
                naive.SequenceEqual(own),
                $"'{times.Line}' in {times.Zone.Id} from {from:O}: expected {Text(naive)}, got {Text(own)}");
            DateTimeOffset? last = times.Last(from, until);
            Assert.Equal(naive.Count == 0 ? null : naive[^1], last);
            found += own.Count;
        }

        Assert.True(found > 10_000);
    }

    [Fact]
    public void Nothing_that_is_sent_makes_the_parser_or_the_calendar_fail()
    {
        Random random = new(7);
        const string Alphabet = "0123456789*/,- @LW#?monJANfeb\t\0é";
        int read = 0;
        for (int i = 0; i < 200_000; i++)
        {
            string text = random.Next(2) == 0
                ? string.Concat(
                    Enumerable.Range(0, random.Next(24)).Select(_ => Alphabet[random.Next(Alphabet.Length)]))
                : Mutated(RandomLine(random), Alphabet, random);
            if (!CronLine.TryParse(text, out CronLine? line))
            {
                continue;
            }

            read++;
            DateTime from = new DateTime(2020, 1, 1).AddMinutes(random.Next(5_000_000));
            if (line.From(from) is { } next)
            {
                Assert.True(next >= from && line.Matches(next));
            }
        }

        Assert.True(read > 1000);
    }

    private static string RandomLine(Random random)
    {
        string[] lines =
        [
            $"{random.Next(60)} {random.Next(5)} * * *", $"*/{random.Next(1, 60)} * * * *",
            $"{random.Next(60)} */{random.Next(1, 6)} * * *", $"*/{random.Next(1, 30)} {random.Next(4)} * * *",
            $"{random.Next(60)} {random.Next(24)} {random.Next(1, 29)} * {random.Next(8)}",
            $"{random.Next(60)} 0-{random.Next(1, 24)}/{random.Next(1, 4)} * * {random.Next(6)}-6", "0,30 1,2 * * *",
            $"{random.Next(60)},{random.Next(60)} 0,1,2,3 */2 * *", "@hourly", "@daily",
        ];
        return lines[random.Next(lines.Length)];
    }

    private static string Mutated(string text, string alphabet, Random random)
    {
        char[] letters = text.ToCharArray();
        letters[random.Next(letters.Length)] = alphabet[random.Next(alphabet.Length)];
        return new string(letters);
    }

    /// <summary>Mostly a day or two before the zone's clock is changed.</summary>
    private static DateTimeOffset NearAChange(Random random, TimeZoneInfo zone)
    {
        DateTimeOffset at = new DateTimeOffset(2024, 1, 1, 0, 0, 0, TimeSpan.Zero).AddHours(random.Next(24 * 900));
        for (int hours = 0; hours < 24 * 400; hours++)
        {
            if (zone.GetUtcOffset(at.AddHours(hours)) != zone.GetUtcOffset(at.AddHours(hours + 1)))
            {
                return at.AddHours(hours).AddMinutes(-random.Next(60 * 48));
            }
        }

        return at;
    }

    /// <summary>The rule in other words: what the clock on the wall shows in each minute, and what it passed over.
    /// </summary>
    private static IEnumerable<DateTimeOffset> EachMinute(CronZone times, DateTimeOffset after, DateTimeOffset until)
    {
        DateTimeOffset minute = new(after.Ticks - (after.Ticks % TimeSpan.TicksPerMinute), TimeSpan.Zero);
        DateTime before = Wall(times, minute);
        for (DateTimeOffset at = minute.AddMinutes(1); at <= until; at = at.AddMinutes(1))
        {
            DateTime wall = Wall(times, at);
            bool fires = times.Line.Matches(wall);
            if (times.Line.NamesHours)
            {
                // A wall time is there twice where it was shown within the hours before, too.
                fires &= !Enumerable.Range(1, 180).Any(m => Wall(times, at.AddMinutes(-m)) == wall);
                for (DateTime passed = before.AddMinutes(1); passed < wall; passed = passed.AddMinutes(1))
                {
                    fires |= times.Line.Matches(passed);
                }
            }

            before = wall;
            if (fires)
            {
                yield return at;
            }
        }
    }

    private static DateTime Wall(CronZone times, DateTimeOffset at) =>
        TimeZoneInfo.ConvertTime(at, times.Zone).DateTime;

    private static string Text(List<DateTimeOffset> moments) =>
        string.Join(' ', moments.Take(12).Select(m => m.ToString("MM-dd HH:mm", CultureInfo.InvariantCulture)));

    private static CronZone Zoned(string text, string zone) => new(
        CronLine.TryParse(text, out CronLine? line) ? line : throw new ArgumentException(text),
        TimeZoneInfo.FindSystemTimeZoneById(zone));

    private static DateTimeOffset Moment(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);
}
