using Berth.Core.Errors;
using Berth.Core.Functions;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Functions;

public sealed class TrafficMatchTests
{
    private static readonly string[] Words = ["a", "b", "A"];

    [Theory]
    [InlineData("header:X-Beta=1", MatchSource.Header, "X-Beta", "1")]
    [InlineData("header:X=a=b c", MatchSource.Header, "X", "a=b c")]
    [InlineData("cookie:beta=yes", MatchSource.Cookie, "beta", "yes")]
    [InlineData("cookie:t=a==", MatchSource.Cookie, "t", "a==")]
    public void A_rule_is_read_as_it_is_written(string text, MatchSource source, string name, string value)
    {
        TrafficMatch match = TrafficMatch.Parse(text, 3);

        Assert.Equal(new TrafficMatch(source, name, value, 3), match);
        Assert.Equal(text, match.Text);
    }

    [Theory]
    [InlineData("")]
    [InlineData("X-Beta=1")]
    [InlineData("header:X-Beta")]
    [InlineData("header:=1")]
    [InlineData("header:X-Beta=")]
    [InlineData("header:X Beta=1")]
    [InlineData("header:X-Beta= 1")]
    [InlineData("header:X-Beta=é")]
    [InlineData("header:X-Beta=a\r\nb")]
    [InlineData("Header:X-Beta=1")]
    [InlineData("header:Authorization=x")]
    [InlineData("header:cookie=x")]
    [InlineData("cookie:a=b;c")]
    [InlineData("cookie:a=\"b\"")]
    [InlineData("query:a=b")]
    public void What_is_no_rule_is_refused(string text) => Assert.Equal(
        ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => TrafficMatch.Parse(text, 1)).Code);

    [Fact]
    public void Names_and_values_have_their_longest()
    {
        string name = new('n', 64);
        string value = new('v', 256);

        Assert.Equal(value, TrafficMatch.Parse($"header:{name}={value}", 1).Value);
        Assert.Throws<BerthException>(() => TrafficMatch.Parse($"header:{name}n={value}", 1));
        Assert.Throws<BerthException>(() => TrafficMatch.Parse($"header:{name}={value}v", 1));
    }

    [Fact]
    public void Sixteen_rules_may_be_and_none_twice()
    {
        TrafficMatch[] rules =
            [.. Enumerable.Range(0, 16).Select(i => new TrafficMatch(MatchSource.Header, "X", $"{i}", 1))];
        TrafficSplit split = TrafficSplit.All(1).Matched(rules);

        Assert.Equal(16, split.Matches.Count);
        Assert.Contains(
            "17 rules", Assert.Throws<BerthException>(
                () => split.Matched([new TrafficMatch(MatchSource.Cookie, "X", "1", 1)])).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "stands twice", Assert.Throws<BerthException>(() => TrafficSplit.Of(
                split.Shares, split.Tags, [rules[0], rules[0] with { Name = "x", Revision = 2 }])).Message,
            StringComparison.Ordinal);
        // A cookie's name is another in other letters.
        Assert.Equal(2, TrafficSplit.All(1).Matched(
            [new(MatchSource.Cookie, "a", "1", 1), new(MatchSource.Cookie, "A", "1", 1)]).Matches.Count);
    }

    /// <summary>Rules and weights together: the first rule that is met decides, whatever the shares; without one the
    /// shares decide as if there were no rules.</summary>
    [Fact]
    public void The_first_rule_that_is_met_decides_and_otherwise_the_shares()
    {
        var cases = Rules().Zip(Calls()).Zip(Gen.Choose(0, 999)).ToArbitrary();
        Prop.ForAll(cases, c =>
        {
            ((TrafficMatch[] rules, Call call), int point) = c;
            TrafficSplit plain = TrafficSplit.Of([new(1, 30), new(2, 70)], new Dictionary<string, int>());
            TrafficSplit split = TrafficSplit.Of(plain.Shares, plain.Tags, rules);

            int chosen = split.Met(call) ?? split.At(point / 1000.0);

            TrafficMatch? first = Array.Find(rules, r => call.Has(r));
            return chosen == (first?.Revision ?? plain.At(point / 1000.0)) && split.Met(call) == split.Met(call);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_rule_that_looks_for_the_same_takes_the_others_place_and_comes_first()
    {
        Prop.ForAll(Rules().Zip(Rules()).ToArbitrary(), c =>
        {
            (TrafficMatch[] before, TrafficMatch[] added) = c;
            TrafficSplit split = TrafficSplit.All(1).Matched(before).Matched(added);

            return split.Matches.Take(added.Length).SequenceEqual(added)
                && split.Matches.All(m => split.Matches.Count(m.IsSameRule) == 1)
                && before.All(b => split.Matches.Any(b.IsSameRule));
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>Whoever has a place keeps his revision while shares move to another, until it is his turn.</summary>
    [Fact]
    public void A_place_keeps_its_revision_while_a_newer_one_is_given_more()
    {
        Prop.ForAll(Gen.Choose(0, TrafficPoint.Count - 1).Zip(Gen.Choose(1, 99).Two()).ToArbitrary(), c =>
        {
            (int place, (int one, int other)) = c;
            TrafficSplit early = TrafficSplit.All(1).With(2, Math.Min(one, other));
            TrafficSplit late = TrafficSplit.All(1).With(2, Math.Max(one, other));
            double point = TrafficPoint.Point(TrafficPoint.Parse(TrafficPoint.Format(place))!.Value);

            return early.At(point) == early.At(point) && (early.At(point) == 1 || late.At(point) == 2);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("10000")]
    [InlineData("1e3")]
    [InlineData(" 1")]
    public void What_is_no_place_gives_none(string? text) => Assert.Null(TrafficPoint.Parse(text));

    private static Gen<TrafficMatch[]> Rules() =>
        (from header in Gen.Elements(true, false)
         from name in Gen.Elements(Words)
         from value in Gen.Elements(Words)
         from revision in Gen.Choose(1, 4)
         select new TrafficMatch(header ? MatchSource.Header : MatchSource.Cookie, name, value, revision))
        .ListOf().Select(rules => Distinct([.. rules.Take(8)]));

    private static Gen<Call> Calls() => Gen.Elements(Words).Two().ListOf().Zip(Gen.Elements(Words).Two().ListOf())
        .Select(c => new Call([.. c.Item1], [.. c.Item2]));

    private static TrafficMatch[] Distinct(TrafficMatch[] rules) =>
        [.. rules.Where((rule, i) => !rules.Take(i).Any(rule.IsSameRule))];

    private sealed record Call((string Name, string Value)[] HeaderLines, (string Name, string Value)[] CookieLines)
        : ICallWords
    {
        public IReadOnlyList<string?> Headers(string name) =>
            [.. HeaderLines.Where(h => h.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).Select(h => h.Value)];

        public IReadOnlyList<string?> Cookies(string name) =>
            [.. CookieLines.Where(c => c.Name == name).Select(c => c.Value)];

        public bool Has(TrafficMatch rule) =>
            (rule.Source == MatchSource.Header ? Headers(rule.Name) : Cookies(rule.Name)).Contains(rule.Value);
    }
}
