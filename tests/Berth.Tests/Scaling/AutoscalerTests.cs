using Berth.Core.Scaling;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Scaling;

public sealed class AutoscalerTests
{
    private const int Concurrency = 10;

    private static readonly ScaleSpec Spec = ScaleSpec.Default with { Max = 50, Target = 100 };

    private static readonly TimeSpan Long = TimeSpan.FromHours(1);

    private static readonly DateTimeOffset Today = new(2026, 11, 22, 9, 0, 0, TimeSpan.Zero);

    [Fact]
    public void From_zero_one_is_started_at_once_and_no_more_until_it_takes_calls()
    {
        Autoscaler scaler = new(Spec, Concurrency);

        Assert.Equal(1, Decide(scaler, now: 200, ready: 0, starting: 0));
        Assert.Equal(1, Decide(scaler, now: 200, ready: 0, starting: 1));
        Assert.Equal(2, Decide(scaler, now: 200, ready: 1, starting: 0));
        Assert.Equal(8, Decide(scaler, now: 200, ready: 4, starting: 0));
    }

    [Fact]
    public void A_steady_load_gets_as_many_as_it_fills()
    {
        Autoscaler scaler = new(Spec, Concurrency);

        Assert.Equal(4, Decide(scaler, stable: 33, burst: 33, now: 33, ready: 4));
    }

    [Fact]
    public void In_a_burst_there_are_not_fewer_until_it_is_over()
    {
        Autoscaler scaler = new(Spec with { DownDelay = TimeSpan.Zero }, Concurrency);
        Assert.Equal(10, Decide(scaler, stable: 10, burst: 100, now: 0, ready: 2));

        Assert.Equal(10, Decide(scaler, stable: 20, burst: 5, now: 0, ready: 10, seconds: 30));
        Assert.Equal(2, Decide(scaler, stable: 20, burst: 5, now: 0, ready: 10, seconds: 61));
    }

    [Fact]
    public void Fewer_come_only_when_fewer_were_wanted_for_the_delay()
    {
        Autoscaler scaler = new(Spec with { DownDelay = TimeSpan.FromSeconds(30) }, Concurrency);
        Assert.Equal(6, Decide(scaler, stable: 60, burst: 60, now: 0, ready: 6));

        Assert.Equal(6, Decide(scaler, stable: 10, burst: 10, now: 0, ready: 6, seconds: 20));
        Assert.Equal(1, Decide(scaler, stable: 10, burst: 10, now: 0, ready: 6, seconds: 31));
    }

    [Fact]
    public void The_last_one_stays_until_nothing_came_for_the_idle_time_and_the_least_stay_for_ever()
    {
        ScaleSpec spec = Spec with { IdleExpiry = TimeSpan.FromMinutes(5), DownDelay = TimeSpan.Zero };
        Autoscaler scaler = new(spec, Concurrency);
        Autoscaler kept = new(spec with { Min = 2 }, Concurrency);

        Assert.Equal(1, Decide(scaler, ready: 1, idle: TimeSpan.FromMinutes(4)));
        Assert.Equal(0, Decide(scaler, ready: 1, idle: TimeSpan.FromMinutes(5), seconds: 60));
        Autoscaler brief = new(spec with { IdleExpiry = TimeSpan.FromSeconds(1) }, Concurrency);
        Assert.Equal(1, Decide(brief, stable: 0.2, burst: 2, ready: 1, idle: TimeSpan.FromSeconds(0.5)));
        Assert.Equal(0, Decide(brief, stable: 0.2, burst: 2, ready: 1, idle: TimeSpan.FromSeconds(1), seconds: 1));
        Assert.Equal(2, Decide(kept, ready: 2, idle: Long));
        Assert.Equal(0, kept.Decide(new LoadFigures(0, 0, 0, Long), 2, 0, routed: false, TimeSpan.Zero, Today).Wanted);
    }

    [Fact]
    public void Whatever_comes_the_bounds_hold_and_who_waits_gets_an_instance()
    {
        var cases = Gen.Choose(0, 400).Four().Zip(Gen.Choose(0, 20).Four()).ListOf().ToArbitrary();
        Prop.ForAll(cases, steps =>
        {
            ScaleSpec spec = Spec with { Min = 1, Max = 7 };
            Autoscaler scaler = new(spec, Concurrency);
            int seconds = 0;
            foreach (((int stable, int burst, int now, int passed), (int ready, int starting, int, int) have) in steps)
            {
                seconds += passed;
                ScaleDecision decision = scaler.Decide(
                    new LoadFigures(stable, burst, now, now > 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(passed)),
                    have.ready, have.starting, routed: true, TimeSpan.FromSeconds(seconds), Today);
                if (decision.Wanted is < 1 or > 7 || (now > 0 && decision.Wanted == 0) || decision.Why.Length == 0)
                {
                    return false;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_decision_tells_its_numbers()
    {
        Autoscaler scaler = new(Spec with { Max = 3 }, Concurrency);

        ScaleDecision decision = scaler.Decide(
            new LoadFigures(62.34, 71, 64, TimeSpan.Zero), 3, 0, routed: true, TimeSpan.Zero, Today);

        Assert.Equal(
            "3 wanted: 62.3 calls at once over 60 s, 71 over 6 s, 64 now; 10 aimed at in each; a burst: no shrinking "
            + "until it is over; 8 are needed, but at most 3 allowed.",
            decision.Why);
    }

    private static int Decide(
        Autoscaler scaler, double stable = 0, double burst = 0, int now = 0, int ready = 0, int starting = 0,
        TimeSpan idle = default, int seconds = 0) =>
        scaler.Decide(
            new LoadFigures(stable, burst, now, idle), ready, starting, routed: true, TimeSpan.FromSeconds(seconds),
            Today.AddSeconds(seconds)).Wanted;
}
