using Berth.Core.Pools;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Pools;

public sealed class PoolPolicyTests
{
    private static readonly TimeSpan Now = TimeSpan.FromHours(1);
    private static readonly PoolLimits Limits = PoolLimits.Default;

    [Fact]
    public void A_shape_just_announced_keeps_the_least()
    {
        Assert.Equal(Limits.LeastReady, Plan(Demand("a"))["a"]);
    }

    [Fact]
    public void Enough_stand_ready_to_bridge_a_creation_twice()
    {
        // 100 a second, 50 ms each: 5 arrive during one creation.
        int target = Plan(Demand("a", rate: 100, create: TimeSpan.FromMilliseconds(50)))["a"];

        Assert.Equal(Limits.LeastReady + 10, target);
    }

    [Fact]
    public void No_shape_has_more_than_the_most()
    {
        int target = Plan(Demand("a", rate: 1e6, create: TimeSpan.FromSeconds(1)))["a"];

        Assert.Equal(Limits.MostReady, target);
    }

    [Fact]
    public void An_idle_shape_keeps_none()
    {
        Assert.Equal(Limits.LeastReady, Plan(Demand("a", idle: Limits.IdleExpiry - TimeSpan.FromTicks(1)))["a"]);
        Assert.Empty(Plan(Demand("a", idle: Limits.IdleExpiry)));
    }

    [Fact]
    public void An_old_rate_fades_while_nothing_comes()
    {
        PoolDemand<string> demand =
            Demand("a", rate: 200, create: TimeSpan.FromMilliseconds(50), idle: TimeSpan.FromSeconds(30));

        Assert.Equal(Limits.LeastReady + 1, Plan(demand)["a"]);
    }

    [Fact]
    public void The_shapes_used_longest_ago_yield_when_memory_is_short()
    {
        PoolLimits tight = Limits with { Memory = ByteSize.MiB(12), MemoryEach = ByteSize.MiB(4) };

        IReadOnlyDictionary<string, int> plan = PoolPolicy.Plan(
            [
                Demand("old", idle: TimeSpan.FromSeconds(30)),
                Demand("new", idle: TimeSpan.FromSeconds(1)),
                Demand("middle", idle: TimeSpan.FromSeconds(9)),
            ],
            tight, Now);

        Assert.Equal(2, plan["new"]);
        Assert.Equal(1, plan["middle"]);
        Assert.False(plan.ContainsKey("old"));
    }

    [Fact]
    public void Without_limits_to_use_nothing_is_prepared()
    {
        Assert.Empty(PoolPolicy.Plan([Demand("a", rate: 50)], PoolLimits.None, Now));
    }

    [Fact]
    public void Observations_are_smoothed()
    {
        double rate = PoolPolicy.Observe(10, TimeSpan.FromMilliseconds(50));

        Assert.Equal(12, rate, 6);
        Assert.Equal(TimeSpan.FromMilliseconds(20), PoolPolicy.Observe(TimeSpan.Zero, TimeSpan.FromMilliseconds(20)));
        Assert.Equal(
            TimeSpan.FromMilliseconds(24),
            PoolPolicy.Observe(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(40)));
    }

    private static IReadOnlyDictionary<string, int> Plan(params PoolDemand<string>[] demands) =>
        PoolPolicy.Plan(demands, Limits, Now);

    private static PoolDemand<string> Demand(string key, double rate = 0, TimeSpan create = default, TimeSpan idle =
        default) =>
        new(key, rate, create, Now - idle);
}
