using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Runs;

public sealed class RunLeaseTests
{
    private static readonly LeaseRules Rules = LeaseRules.Default;

    [Fact]
    public void The_holder_stops_before_another_may_begin_even_when_its_clock_is_a_tenth_slow()
    {
        // Asked and granted at the same moment, the worst case for the judge.
        RunLease held = new(3, TimeSpan.Zero);
        RunLease granted = new(3, TimeSpan.Zero);

        TimeSpan taken = First(at => granted.MayBeTaken(at, Rules));
        TimeSpan stopped = First(at => held.MustStop(at * 0.9, Rules));

        Assert.True(stopped < taken, $"stopped at {stopped}, taken at {taken}");
    }

    [Fact]
    public void A_renewal_counts_for_its_own_generation_and_never_turns_time_back()
    {
        RunLease lease = new(3, TimeSpan.FromSeconds(5));

        Assert.Null(lease.Renew(2, TimeSpan.FromSeconds(6)));
        Assert.Equal(TimeSpan.FromSeconds(6), lease.Renew(3, TimeSpan.FromSeconds(6))!.Value.From);
        Assert.Equal(TimeSpan.FromSeconds(5), lease.Renew(3, TimeSpan.FromSeconds(4))!.Value.From);
        Assert.True(lease.IsDue(TimeSpan.FromSeconds(7), Rules));
        Assert.False(lease.IsDue(TimeSpan.FromSeconds(6.9), Rules));
    }

    private static TimeSpan First(Func<TimeSpan, bool> when)
    {
        TimeSpan at = TimeSpan.Zero;
        while (!when(at))
        {
            at += TimeSpan.FromMilliseconds(10);
        }

        return at;
    }
}
