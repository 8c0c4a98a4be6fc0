using Berth.Core.Errors;
using Berth.Core.Functions;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Functions;

public sealed class TrafficSplitTests
{
    private const int Points = 1000;

    [Fact]
    public void Calls_are_split_exactly_by_the_shares()
    {
        Prop.ForAll(Changes(), changes =>
        {
            TrafficSplit split = Apply(changes);
            var got = Enumerable.Range(0, Points).Select(i => split.At((i + 0.5) / Points)).CountBy(r => r)
                .ToDictionary();

            return got.Count == split.Shares.Count
                && split.Shares.All(s => got[s.Revision] == s.Percent * (Points / 100));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Whatever_is_changed_the_shares_are_a_hundred_together_and_the_new_one_is_as_asked()
    {
        Prop.ForAll(Changes(), changes =>
        {
            TrafficSplit split = TrafficSplit.All(1);
            foreach ((int revision, int percent) in changes)
            {
                bool others = split.Shares.Any(s => s.Revision != revision);
                if (!others && percent < 100)
                {
                    continue;
                }

                split = split.With(revision, percent);
                int got = split.Shares.FirstOrDefault(s => s.Revision == revision)?.Percent ?? 0;
                if (got != percent || split.Shares.Sum(s => s.Percent) != 100)
                {
                    return false;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_is_left_is_shared_as_it_was()
    {
        TrafficSplit split = TrafficSplit.Of([new(1, 60), new(2, 30), new(3, 10)], new Dictionary<string, int>());

        TrafficSplit next = split.With(4, 50);

        Assert.Equal([new(1, 30), new(2, 15), new(3, 5), new(4, 50)], next.Shares);
        Assert.Equal("30 % to revision 1, 15 % to revision 2, 5 % to revision 3, 50 % to revision 4", next.ToString());
    }

    [Theory]
    [InlineData("1=50", "The shares are 50 % together; they must be 100.")]
    [InlineData("1=50 2=60", "The shares are 110 % together; they must be 100.")]
    [InlineData("1=50 1=50", "Revision 1 is given two shares.")]
    [InlineData("1=100 2=0", "0 % for revision 2 can't be: a share is 1 to 100.")]
    [InlineData("1=101 2=-1", "101 % for revision 1 can't be: a share is 1 to 100.")]
    [InlineData("", "The shares are 0 % together; they must be 100.")]
    public void What_is_no_whole_is_refused(string shares, string why)
    {
        IEnumerable<TrafficShare> given = shares.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(s => s.Split('=')).Select(s => new TrafficShare(int.Parse(s[0]), int.Parse(s[1]))).Reverse();

        BerthException refused = Assert.Throws<BerthException>(
            () => TrafficSplit.Of(given, new Dictionary<string, int>()));

        Assert.Equal((ErrorCode.InvalidRequest, why), (refused.Code, refused.Message));
    }

    private static TrafficSplit Apply((int Revision, int Percent)[] changes) => changes.Aggregate(
        TrafficSplit.All(1),
        (split, change) => split.Shares.Any(s => s.Revision != change.Revision) || change.Percent == 100
            ? split.With(change.Revision, change.Percent)
            : split);

    private static Arbitrary<(int Revision, int Percent)[]> Changes() => Gen.Zip(Gen.Choose(1, 6), Gen.Choose(0, 100))
        .ArrayOf().ToArbitrary();
}
