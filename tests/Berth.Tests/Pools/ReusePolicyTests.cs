using Berth.Core.Pools;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Pools;

public sealed class ReusePolicyTests
{
    private static readonly SandboxLimits Limits = SandboxLimits.Default with
    {
        Memory = ByteSize.MiB(64),
        WritableLayer = ByteSize.MiB(16),
    };

    private static readonly ReuseState Good = new(1, TimeSpan.Zero, EndedWell: true, FilesInMemory: null);

    [Fact]
    public void A_sandbox_that_nothing_happened_to_goes_on()
    {
        Assert.False(ReusePolicy.IsToBeReplaced(Good, Limits));
        Assert.False(ReusePolicy.IsToBeReplaced(Good with { FilesInMemory = ByteSize.MiB(4) }, Limits));
    }

    [Fact]
    public void One_that_a_program_crashed_in_is_replaced() =>
        Assert.True(ReusePolicy.IsToBeReplaced(Good with { EndedWell = false }, Limits));

    [Theory]
    [InlineData(ReusePolicy.MostCalls - 1, false)]
    [InlineData(ReusePolicy.MostCalls, true)]
    public void One_has_so_many_calls_and_no_more(long served, bool replaced) =>
        Assert.Equal(replaced, ReusePolicy.IsToBeReplaced(Good with { Served = served }, Limits));

    [Fact]
    public void One_lives_for_an_hour()
    {
        Assert.False(ReusePolicy.IsToBeReplaced(
            Good with { Age = ReusePolicy.LongestAge - TimeSpan.FromTicks(1) }, Limits));
        Assert.True(ReusePolicy.IsToBeReplaced(Good with { Age = ReusePolicy.LongestAge }, Limits));
    }

    [Fact]
    public void Files_may_take_a_quarter_of_the_smaller_limit()
    {
        Assert.True(ReusePolicy.IsToBeReplaced(
            Good with { FilesInMemory = ByteSize.FromBytes(ByteSize.MiB(4).Bytes + 1) }, Limits));
        Assert.True(ReusePolicy.IsToBeReplaced(
            Good with { FilesInMemory = ByteSize.FromBytes(ByteSize.MiB(4).Bytes + 1) },
            Limits with { Memory = ByteSize.MiB(16), WritableLayer = ByteSize.MiB(64) }));
    }
}
