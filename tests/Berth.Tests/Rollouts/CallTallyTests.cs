using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Testing.Runs;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Rollouts;

public sealed class CallTallyTests
{
    [Fact]
    public void A_quantile_is_told_within_five_percent()
    {
        Arbitrary<int[]> times = Gen.Choose(1_200, 500_000_000).NonEmptyListOf().Select(l => l.ToArray())
            .ToArbitrary();
        Prop.ForAll(times, ticks =>
        {
            CallTally tally = ticks.Aggregate(CallTally.None, (sum, t) => sum.Plus(One(TimeSpan.FromTicks(t))));
            int[] sorted = [.. ticks.Order()];

            return new[] { 0.5, 0.95, 1 }.All(share =>
            {
                double exact = sorted[(int)Math.Ceiling(share * sorted.Length) - 1];
                double told = tally.Quantile(share)!.Value.Ticks;
                return Math.Abs(told - exact) <= exact * 0.05;
            });
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_lies_between_two_counts_is_their_difference_even_after_a_bucket_went_round()
    {
        CallTally early = new(5, 1, [.. Enumerable.Repeat(uint.MaxValue, LatencyScale.Buckets)]);
        CallTally late = new(8, 2, [.. Enumerable.Repeat(1u, LatencyScale.Buckets)]);

        CallTally between = late.Since(early);

        Assert.Equal((3, 1, 4), (between.Succeeded, between.Failed, between.Calls));
        Assert.All(between.Times, count => Assert.Equal(2u, count));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.1, 0)]
    [InlineData(0.11, 2)]
    [InlineData(0.2, 8)]
    [InlineData(1e12, LatencyScale.Buckets - 1)]
    public void Whatever_a_call_took_has_a_bucket(double ms, int bucket) =>
        Assert.Equal(bucket, LatencyScale.IndexOf(TimeSpan.FromMilliseconds(ms)));

    [Fact]
    public void Without_calls_there_is_no_quantile() => Assert.Null(CallTally.None.Quantile(0.95));

    [Theory]
    [InlineData(EndReason.Completed, true, CallVerdict.Succeeded)]
    [InlineData(EndReason.ExitCode, true, CallVerdict.Failed)]
    [InlineData(EndReason.Signal, true, CallVerdict.Failed)]
    [InlineData(EndReason.OutOfMemory, true, CallVerdict.Failed)]
    [InlineData(EndReason.OutputLimit, true, CallVerdict.Failed)]
    [InlineData(EndReason.TimedOut, true, CallVerdict.Failed)]
    [InlineData(EndReason.TimedOut, false, CallVerdict.Nothing)]
    [InlineData(EndReason.EntryPointMissing, false, CallVerdict.Failed)]
    [InlineData(EndReason.NotRunnable, false, CallVerdict.Failed)]
    [InlineData(EndReason.NoAnswer, true, CallVerdict.Failed)]
    [InlineData(EndReason.BadStatus, true, CallVerdict.Failed)]
    [InlineData(EndReason.Canceled, true, CallVerdict.Nothing)]
    [InlineData(EndReason.ClientGone, true, CallVerdict.Nothing)]
    [InlineData(EndReason.Expired, false, CallVerdict.Nothing)]
    [InlineData(EndReason.PlatformFault, true, CallVerdict.Nothing)]
    public void Only_what_is_the_programs_own_fault_counts_against_it(
        EndReason reason, bool started, CallVerdict verdict)
    {
        Run run = RunBuilder.Accepted() with
        {
            End = RunBuilder.End(reason),
            StartedAt = started ? RunBuilder.Noon : null,
        };

        Assert.Equal(verdict, CallVerdicts.Of(run));
    }

    private static CallTally One(TimeSpan time) => Tallies.Of(1, ms: time.TotalMilliseconds);
}
