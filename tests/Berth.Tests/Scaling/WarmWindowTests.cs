using Berth.Core.Errors;
using Berth.Core.Scaling;
using Berth.Core.Triggers;
using Xunit;

namespace Berth.Tests.Scaling;

/// <summary>Spans in which instances are kept without calls.</summary>
public sealed class WarmWindowTests
{
    private const string Berlin = "Europe/Berlin";

    private static readonly LoadFigures Nothing = new(0, 0, 0, TimeSpan.FromHours(1));

    private static readonly ScaleSpec Spec = ScaleSpec.Default with { Min = 1, Max = 5, DownDelay = TimeSpan.Zero };

    [Theory]
    [InlineData("2026-11-23T06:59:59Z", false)]
    [InlineData("2026-11-23T07:00:00Z", true)]
    [InlineData("2026-11-23T16:59:59Z", true)]
    [InlineData("2026-11-23T17:00:00Z", false)]
    [InlineData("2026-11-22T12:00:00Z", false)]
    [InlineData("2026-07-20T06:00:00Z", true)]
    [InlineData("2026-07-20T05:59:59Z", false)]
    public void Office_hours_are_those_of_the_place(string moment, bool open) =>
        Assert.Equal(open, Window("0 8 * * 1-5", "0 18 * * 1-5", 3).IsOpenAt(At(moment)));

    [Theory]
    // The clock passes over 02:30 on 29 March: it opens at the change, 03:00, and is open until 04:00.
    [InlineData("30 2 * * *", "0 4 * * *", "2026-03-29T00:59:59Z", false)]
    [InlineData("30 2 * * *", "0 4 * * *", "2026-03-29T01:00:00Z", true)]
    [InlineData("30 2 * * *", "0 4 * * *", "2026-03-29T02:00:00Z", false)]
    // 02:30 is there twice on 25 October: it closes the first time, and stays closed.
    [InlineData("0 1 * * *", "30 2 * * *", "2026-10-25T00:29:59Z", true)]
    [InlineData("0 1 * * *", "30 2 * * *", "2026-10-25T00:30:00Z", false)]
    [InlineData("0 1 * * *", "30 2 * * *", "2026-10-25T01:29:00Z", false)]
    public void Where_the_clock_is_changed_a_time_comes_once(string start, string end, string moment, bool open) =>
        Assert.Equal(open, Window(start, end, 1).IsOpenAt(At(moment)));

    [Fact]
    public void Where_it_would_open_and_close_at_once_it_is_open()
    {
        WarmWindow window = Window("0 8 * * *", "0 */4 * * *", 2);

        Assert.True(window.IsOpenAt(At("2026-11-23T07:00:00Z")));
        Assert.True(window.IsOpenAt(At("2026-11-23T10:59:59Z")));
        Assert.False(window.IsOpenAt(At("2026-11-23T11:00:00Z")));
    }

    [Fact]
    public void A_window_that_opens_again_before_it_closes_stays_open()
    {
        WarmWindow window = Window("0 8-10 * * *", "0 18 * * *", 2);

        Assert.True(window.IsOpenAt(At("2026-11-23T07:30:00Z")));
        Assert.True(window.IsOpenAt(At("2026-11-23T09:30:00Z")));
        Assert.False(window.IsOpenAt(At("2026-11-23T17:30:00Z")));
    }

    /// <summary>Against what is plainly so: the last time of either line before a moment, looked for minute by minute.
    /// </summary>
    [Fact]
    public void Of_windows_that_overlap_the_greatest_counts_and_never_more_than_the_most_are_kept()
    {
        string[] zones = [Berlin, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
        string[] days =
            ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z", "2026-11-01T00:00:00Z", "2026-06-01T00:00:00Z"];
        Random random = new(7);
        for (int i = 0; i < 60; i++)
        {
            TimeZoneInfo zone = TimeZoneInfo.FindSystemTimeZoneById(zones[random.Next(zones.Length)]);
            WarmWindow[] windows = [.. Enumerable.Range(0, 1 + random.Next(3)).Select(_ => Made(random, zone))];
            WarmSchedule schedule = WarmSchedule.Of(windows)!;
            Autoscaler scaler = new(Spec with { Warm = schedule }, 10);
            DateTimeOffset from = At(days[random.Next(days.Length)]);
            WarmState before = schedule.At(from);
            for (int minute = 0; minute < 36 * 60; minute += 7)
            {
                DateTimeOffset now = from.AddMinutes(minute);
                int expected = windows.Where(w => IsOpen(w, now)).Select(w => w.Min).DefaultIfEmpty(0).Max();
                WarmState state = schedule.At(now);
                int wanted = scaler.Decide(Nothing, 0, 0, routed: true, TimeSpan.FromMinutes(minute), now).Wanted;
                string what = $"{string.Join("; ", windows.Select(w => $"{w} {w.Min}"))} at {now:O}";

                Assert.True(state.Min == expected, $"{expected} was expected of {what}, and not {state.Min}.");
                Assert.True(wanted == Math.Clamp(expected, 1, 5), $"{wanted} were wanted of {what}.");
                if (now < before.Until)
                {
                    Assert.Equal(before.Min, state.Min);
                }

                before = state;
            }
        }
    }

    [Fact]
    public void Who_has_no_calls_routed_to_it_keeps_none_and_a_clock_that_is_set_back_is_believed()
    {
        Autoscaler scaler = new(
            Spec with { Min = 0, Warm = WarmSchedule.Of([Window("0 8 * * *", "0 18 * * *", 3)]) }, 10);

        Assert.Equal(3, Decide(scaler, "2026-11-23T12:00:00Z"));
        Assert.Equal(0, Decide(scaler, "2026-11-23T17:00:00Z"));
        Assert.Equal(3, Decide(scaler, "2026-11-23T16:00:00Z"));
        Assert.Equal(
            0, scaler.Decide(Nothing, 3, 0, routed: false, TimeSpan.Zero, At("2026-11-23T12:00:00Z")).Wanted);
    }

    [Fact]
    public void A_decision_and_a_schedule_tell_of_the_window()
    {
        WarmSchedule schedule = WarmSchedule.Of([Window("0 8 * * 1-5", "0 18 * * 1-5", 3)])!;
        Autoscaler scaler = new(Spec with { Warm = schedule }, 10);

        string why = scaler.Decide(Nothing, 1, 0, routed: true, TimeSpan.Zero, At("2026-11-23T12:00:00Z")).Why;

        Assert.Contains(
            "at least 3 are kept in the window '0 8 * * 1-5' to '0 18 * * 1-5' Europe/Berlin", why,
            StringComparison.Ordinal);
        Assert.Equal(
            "At least 3 are kept until 2026-11-23 18:00:00+01:00: '0 8 * * 1-5' to '0 18 * * 1-5' Europe/Berlin.",
            schedule.Tell(At("2026-11-23T12:00:00Z")));
        Assert.Equal(
            "At least 3 are kept from 2026-11-23 08:00:00+01:00 on: '0 8 * * 1-5' to '0 18 * * 1-5' Europe/Berlin.",
            schedule.Tell(At("2026-11-22T12:00:00Z")));
    }

    [Fact]
    public void Too_many_windows_and_ones_that_keep_more_than_there_may_be_are_refused()
    {
        WarmWindow window = Window("0 8 * * *", "0 18 * * *", 6);

        BerthException many = Assert.Throws<BerthException>(
            () => WarmSchedule.Of([.. Enumerable.Repeat(window, WarmSchedule.MaxWindows + 1)]));
        BerthException more = Assert.Throws<BerthException>(
            () => ScaleSpec.Checked(Spec with { Warm = WarmSchedule.Of([window]) }));

        Assert.Equal("warm has 17 windows, which are too many: at most 16 can be given.", many.Message);
        Assert.StartsWith("warm.min = 6 can't be used with maxInstances = 5", more.Message, StringComparison.Ordinal);
        Assert.Equal(WarmSchedule.Of([window]), WarmSchedule.Of([Window("0 8 * * *", "0 18 * * *", 6)]));
        Assert.NotEqual(WarmSchedule.Of([window]), WarmSchedule.Of([Window("0 8 * * *", "0 18 * * *", 5)]));
    }

    private static int Decide(Autoscaler scaler, string moment) =>
        scaler.Decide(Nothing, 3, 0, routed: true, TimeSpan.Zero, At(moment)).Wanted;

    private static WarmWindow Made(Random random, TimeZoneInfo zone)
    {
        string start = $"{random.Next(60)} {random.Next(24)} * * *";
        string end = random.Next(3) switch
        {
            0 => $"{random.Next(60)} * * * *",
            1 => $"{random.Next(60)} */{2 + random.Next(10)} * * *",
            _ => $"{random.Next(60)} {random.Next(24)} * * *",
        };
        return new WarmWindow(Times(start, zone), Times(end, zone), 1 + random.Next(8));
    }

    private static bool IsOpen(WarmWindow window, DateTimeOffset now) =>
        LastOf(window.Start, now) is { } opened && !(LastOf(window.End, now) > opened);

    private static DateTimeOffset? LastOf(CronZone times, DateTimeOffset now)
    {
        DateTimeOffset? last = null;
        for (DateTimeOffset? at = now.AddDays(-3); (at = times.Next(at.Value)) <= now;)
        {
            last = at;
        }

        return last;
    }

    private static WarmWindow Window(string start, string end, int min)
    {
        TimeZoneInfo zone = TimeZoneInfo.FindSystemTimeZoneById(Berlin);
        return new WarmWindow(Times(start, zone), Times(end, zone), min);
    }

    private static CronZone Times(string line, TimeZoneInfo zone) =>
        new(CronLine.TryParse(line, out CronLine? parsed) ? parsed : throw new ArgumentException(line), zone);

    private static DateTimeOffset At(string text) =>
        DateTimeOffset.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}
