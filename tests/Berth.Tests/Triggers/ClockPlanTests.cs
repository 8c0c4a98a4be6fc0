using Berth.Core.Triggers;
using Xunit;

namespace Berth.Tests.Triggers;

/// <summary>What a clock has to do at a look.</summary>
public sealed class ClockPlanTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_time_that_has_come_is_due_once_and_none_before_it()
    {
        ClockSpec clock = Clock("*/5 * * * *");

        ClockPlan before = ClockPlan.At(clock, Noon, Noon.AddMinutes(4.9));
        ClockPlan at = ClockPlan.At(clock, Noon, Noon.AddMinutes(5).AddSeconds(3));
        ClockPlan again = ClockPlan.At(clock, Noon.AddMinutes(5), Noon.AddMinutes(5).AddSeconds(4));

        Assert.Empty(before.Due);
        Assert.Equal([Noon.AddMinutes(5)], at.Due);
        Assert.Null(at.Missed);
        Assert.Empty(again.Due);
    }

    [Fact]
    public void A_busy_server_makes_up_for_each_time_of_the_last_seconds()
    {
        ClockPlan plan = ClockPlan.At(Clock("* * * * * *"), Noon, Noon.AddSeconds(10));

        Assert.Equal(Enumerable.Range(1, 10).Select(s => Noon.AddSeconds(s)), plan.Due);
    }

    [Fact]
    public void What_was_missed_is_given_up_or_its_last_is_made_up_for_within_the_limit()
    {
        DateTimeOffset now = Noon.AddHours(5).AddMinutes(30);

        ClockPlan skip = ClockPlan.At(Clock("0 * * * *"), Noon, now);
        ClockPlan once = ClockPlan.At(Clock("0 * * * *", MissedTimes.Once), Noon, now);
        ClockPlan late = ClockPlan.At(
            Clock("0 * * * *", MissedTimes.Once, TimeSpan.FromMinutes(29)), Noon, now);

        Assert.Equal((0, Noon.AddHours(5)), (skip.Due.Count, skip.Missed));
        Assert.Equal([Noon.AddHours(5)], once.Due);
        Assert.Null(once.Missed);
        Assert.Equal((0, Noon.AddHours(5)), (late.Due.Count, late.Missed));
    }

    [Fact]
    public void However_a_server_looks_and_stops_each_time_is_seen_to_once_and_in_order()
    {
        Random random = new(3);
        for (int i = 0; i < 200; i++)
        {
            ClockSpec clock = Clock(
                i % 2 == 0 ? "*/2 * * * *" : "*/7 * * * * *", (MissedTimes)random.Next(2), TimeSpan.FromHours(1));
            (DateTimeOffset seen, DateTimeOffset now) = (Noon, Noon);
            List<DateTimeOffset> fired = [];
            while (now < Noon.AddHours(2))
            {
                now = now.AddSeconds(random.Next(10) == 0 ? random.Next(3000) : random.Next(18));
                ClockPlan plan = ClockPlan.At(clock, seen, now);
                Assert.True(plan.Missed is null || plan.Due.Count == 0 || plan.Missed < plan.Due[0]);
                seen = plan.Missed ?? seen;
                // Killed somewhere in between.
                foreach (DateTimeOffset due in plan.Due.Take(random.Next(5) == 0 ? random.Next(2) : int.MaxValue))
                {
                    Assert.True(due <= now && due > seen && clock.Times.Line.Matches(due.UtcDateTime));
                    fired.Add(due);
                    seen = due;
                }
            }

            Assert.Equal(fired.Distinct().Order(), fired);
        }
    }

    [Fact]
    public void A_month_without_a_server_is_seen_to_at_once_also_for_a_line_of_every_second()
    {
        ClockPlan plan = ClockPlan.At(Clock("* * * * * *", MissedTimes.Once), Noon, Noon.AddDays(31));

        Assert.Equal(Noon.AddDays(31) - ClockSpec.Tolerance, plan.Due[0]);
        Assert.Equal(21, plan.Due.Count);
    }

    private static ClockSpec Clock(string line, MissedTimes missed = MissedTimes.Skip, TimeSpan? catchUp = null) => new(
        new CronZone(
            CronLine.TryParse(line, out CronLine? read) ? read : throw new ArgumentException(line), TimeZoneInfo.Utc),
        ClockConcurrency.Allow, missed, catchUp ?? ClockSpec.DefaultCatchUp);
}
