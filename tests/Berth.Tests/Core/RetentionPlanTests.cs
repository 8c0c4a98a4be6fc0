using Berth.Core.Errors;
using Berth.Core.Images;
using Xunit;

namespace Berth.Tests.Core;

public sealed class RetentionPlanTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    // Oldest first: build-1 is five days old, build-5 one.
    private static readonly RetainedTag[] Tags =
    [
        .. Enumerable.Range(1, 5).Select(i => new RetainedTag($"build-{i}", Now.AddDays(i - 6), false)),
        new("v1", Now.AddDays(-90), false),
    ];

    [Fact]
    public void The_newest_stay_by_count() =>
        Assert.Equal(["v1", "build-1", "build-2"], Removed(new(3, null, [], [])));

    [Fact]
    public void The_young_stay_by_age() =>
        Assert.Equal(["v1", "build-1", "build-2"], Removed(new(null, TimeSpan.FromDays(3.5), [], [])));

    [Fact]
    public void What_any_rule_keeps_stays() =>
        Assert.Equal(["build-1"], Removed(new(1, TimeSpan.FromDays(4.5), [NamePattern.Parse("v*")], [])));

    [Fact]
    public void Tags_that_the_rules_are_not_about_stay() =>
        Assert.Equal(["build-1", "build-2", "build-3"], Removed(new(2, null, [], [NamePattern.Parse("build-*")])));

    [Fact]
    public void Immutable_tags_stay_and_count_among_the_newest()
    {
        RetainedTag[] tags = [.. Tags.Select(t => t with { IsImmutable = t.Tag is "build-5" or "v1" })];

        Assert.Equal(
            ["build-1", "build-2", "build-3", "build-4"],
            RetentionPlan.Removals(tags, new(1, null, [], []), Now).Select(t => t.Tag));
    }

    [Fact]
    public void Names_to_keep_alone_remove_nothing() =>
        Assert.Empty(Removed(new(null, null, [NamePattern.Parse("v*")], [])));

    [Fact]
    public void None_may_be_kept() => Assert.Equal(6, Removed(new(0, null, [], [])).Count);

    [Theory]
    [InlineData("v*", "v1.2", true)]
    [InlineData("v*", "av1", false)]
    [InlineData("v?", "v12", false)]
    [InlineData("*-rc?", "1.0-rc1", true)]
    [InlineData("a*b*c", "aXbYbZc", true)]
    [InlineData("a*b*c", "aXbYbZ", false)]
    [InlineData("team/*", "team/a/b", true)]
    [InlineData("team/*", "team", false)]
    [InlineData("*", "", true)]
    public void A_pattern_matches_the_whole_name(string pattern, string name, bool matches) =>
        Assert.Equal(matches, NamePattern.Parse(pattern).Matches(name));

    [Fact]
    public void A_pattern_of_many_stars_takes_no_long_time()
    {
        NamePattern pattern = NamePattern.Parse(string.Concat(Enumerable.Repeat("*a", 120)) + "b");

        Assert.False(pattern.Matches(new string('a', 100_000)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("[a-z]")]
    public void What_is_no_pattern_is_refused(string pattern) =>
        Assert.Equal(
            ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => NamePattern.Parse(pattern)).Code);

    private static List<string> Removed(RetentionRules rules) =>
        [.. RetentionPlan.Removals(Tags, rules, Now).Select(t => t.Tag)];
}
