using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Core.Images;
using Xunit;

namespace Berth.Tests.Placement;

public sealed class PlacementRulesTests
{
    [Fact]
    public void Nothing_asked_is_no_rules() => Assert.Null(PlacementRules.Parse([], null, null));

    [Fact]
    public void They_outlast_the_store_and_what_asks_for_none_is_written_as_before()
    {
        RunSpec plain = RunSpec.For("demo/image", Digest.Sha256("x"u8), RunKind.Task);
        RunSpec bound = plain with
        {
            Placement = PlacementRules.Parse(["zone==cellar", "!ssd", "zone=cellar"], ["dedicated=ml"], "rack"),
        };

        PlacementRules read = RunSpecDocument.Read(RunSpecDocument.Write(bound)).Placement!;

        Assert.Equal(["zone=cellar", "!ssd"], read.Constraints.Select(c => c.Text));
        Assert.Equal(["dedicated=ml"], read.Tolerations.Select(t => t.Text));
        Assert.Equal("rack", read.Spread);
        Assert.DoesNotContain(
            "constraints", System.Text.Encoding.UTF8.GetString(RunSpecDocument.Write(plain)),
            StringComparison.Ordinal);
        Assert.Null(RunSpecDocument.Read(RunSpecDocument.Write(plain)).Placement);
    }

    [Theory]
    [InlineData("zone=", null, null, "'zone=' is no constraint")]
    [InlineData(null, "a=b=c", null, "'a=b=c' is no toleration")]
    [InlineData(null, null, "arch", "'arch' is no label to spread over")]
    [InlineData(null, null, "a b", "'a b' is no label to spread over")]
    public void What_can_t_be_read_is_named(string? constraint, string? toleration, string? spread, string told)
    {
        BerthException refusal = Assert.Throws<BerthException>(() => PlacementRules.Parse(
            constraint is null ? null : [constraint], toleration is null ? null : [toleration], spread));

        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains(told, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void There_is_a_limit()
    {
        string[] most = [.. Enumerable.Range(0, PlacementRules.Most).Select(i => $"l{i}")];

        Assert.Equal(PlacementRules.Most, PlacementRules.Parse(most, null, null)!.Constraints.Count);
        Assert.Contains(
            "There are 17 constraints; at most 16 are taken.",
            Assert.Throws<BerthException>(() => PlacementRules.Parse([.. most, "one-more"], null, null)).Message,
            StringComparison.Ordinal);
    }
}
