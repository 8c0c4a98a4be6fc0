using Berth.Core.Scaling;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Scaling;

public sealed class LoadMeterTests
{
    [Fact]
    public void The_average_is_the_area_over_the_window()
    {
        LoadMeter meter = new();
        meter.Set(10, Seconds(100));
        meter.Set(20, Seconds(105));
        meter.Set(0, Seconds(110));

        Assert.Equal(15, meter.Average(Seconds(60), Seconds(110)), 1e-6);
        Assert.Equal(20, meter.Average(Seconds(5), Seconds(109.999)), 0.1);
        Assert.Equal(0, meter.Average(Seconds(6), Seconds(117)), 1e-6);
        Assert.Equal(Seconds(7), meter.IdleAt(Seconds(117)));
    }

    [Fact]
    public void After_a_long_quiet_the_first_calls_are_not_averaged_with_it()
    {
        LoadMeter meter = new();
        meter.Set(5, Seconds(1));
        meter.Set(0, Seconds(2));

        meter.Set(40, Seconds(1000));

        Assert.Equal(40, meter.Average(Seconds(60), Seconds(1002)), 1e-6);
    }

    [Fact]
    public void No_average_is_above_the_most_or_below_zero_and_a_constant_load_is_its_own_average()
    {
        var steps = Gen.Choose(0, 100).Zip(Gen.Choose(0, 30_000)).ListOf().ToArbitrary();
        Prop.ForAll(steps, changes =>
        {
            LoadMeter meter = new();
            TimeSpan now = Seconds(3);
            int most = 0;
            foreach ((int calls, int passed) in changes)
            {
                now += TimeSpan.FromMilliseconds(passed);
                meter.Set(calls, now);
                most = Math.Max(most, calls);
                if (meter.Average(Seconds(60), now) is var average && (average < 0 || average > most + 1e-6))
                {
                    return false;
                }
            }

            meter.Set(7, now);
            return Math.Abs(meter.Average(Seconds(6), now + Seconds(200)) - 7) < 1e-6;
        }).QuickCheckThrowOnFailure();
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);
}
