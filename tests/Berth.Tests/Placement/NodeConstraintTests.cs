using Berth.Core.Errors;
using Berth.Core.Placement;
using Xunit;

namespace Berth.Tests.Placement;

public sealed class NodeConstraintTests
{
    [Theory]
    [InlineData("zone=eu", "zone=eu")]
    [InlineData(" zone == eu ", "zone=eu")]
    [InlineData("zone != eu", "zone!=eu")]
    [InlineData("gpu.model in (h100, a100,a100)", "gpu.model in (a100,h100)")]
    [InlineData("zone in(eu)", "zone=eu")]
    [InlineData("zone notin (us,eu)", "zone notin (eu,us)")]
    [InlineData("ssd", "ssd")]
    [InlineData("! ssd", "!ssd")]
    public void Constraints_are_read_and_written_in_one_way(string text, string canonical)
    {
        NodeConstraint constraint = NodeConstraint.Parse(text);

        Assert.Equal(canonical, constraint.Text);
        Assert.Equal(constraint, NodeConstraint.Parse(canonical));
    }

    [Theory]
    [InlineData("", "at the beginning a name such as zone is missing (letters, digits, '-', '_', '.' and '/')")]
    [InlineData("=eu", "at the beginning a name such as zone is missing (letters, digits, '-', '_', '.' and '/')")]
    [InlineData("zone=", "after '=' a value is missing (letters, digits, '-', '_', '.' and '/')")]
    [InlineData("zone<3", "after 'zone' comes =, !=, in or notin, not '<3'")]
    [InlineData("zone within (a)", "after 'zone' comes =, !=, in or notin, not 'within (a)'")]
    [InlineData("zone in eu", "after 'in' comes a list in parentheses, for instance zone in (a,b)")]
    [InlineData("zone in ()", "in the list a value is missing (letters, digits, '-', '_', '.' and '/')")]
    [InlineData("zone in (a b)", "the list has no end: write ) after its last value, and commas between them")]
    [InlineData("zone=eu,us", "after 'zone=eu' nothing is expected, but there is ',us'")]
    [InlineData("!ssd=yes", "after '!ssd' nothing is expected, but there is '=yes'")]
    public void What_is_no_constraint_is_refused_with_what_was_expected_where(string text, string why)
    {
        BerthException refused = Assert.Throws<BerthException>(() => NodeConstraint.Parse(text));

        Assert.Equal($"'{text}' is no constraint: {why}.", refused.Message);
        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
    }

    [Fact]
    public void Limits_hold_at_the_limit_and_one_past_it()
    {
        NodeConstraint.Parse(new string('a', 63) + "=" + new string('b', 63));
        NodeConstraint.Parse($"a in ({string.Join(',', Enumerable.Range(0, 32))})");

        Assert.Throws<BerthException>(() => NodeConstraint.Parse(new string('a', 64)));
        Assert.Throws<BerthException>(
            () => NodeConstraint.Parse($"a in ({string.Join(',', Enumerable.Range(0, 33))})"));
        Assert.Throws<BerthException>(() => NodeConstraint.Parse(new string(' ', 1025)));
        Assert.Throws<BerthException>(() => NodeConstraint.Parse("zone=\u001b[31m"));
    }

    [Theory]
    [InlineData("dedicated", "dedicated", false)]
    [InlineData("dedicated=ml", "dedicated=ml", false)]
    [InlineData("dedicated=ml:no-schedule", "dedicated=ml", false)]
    [InlineData("spot:prefer-not", "spot:prefer-not", true)]
    public void Taints_are_read_and_written_in_one_way(string text, string canonical, bool soft)
    {
        Taint taint = Taint.Parse(text);

        Assert.Equal((canonical, soft), (taint.Text, taint.IsSoft));
        Assert.Equal(taint, Taint.Parse(canonical));
    }

    [Fact]
    public void A_toleration_bears_a_taint_of_its_key_and_its_value_or_any()
    {
        Taint taint = Taint.Parse("dedicated=ml");

        Assert.True(Toleration.Parse("dedicated").Bears(taint));
        Assert.True(Toleration.Parse("dedicated=ml").Bears(taint));
        Assert.False(Toleration.Parse("dedicated=web").Bears(taint));
        Assert.False(Toleration.Parse("other").Bears(taint));
        Assert.Throws<BerthException>(() => Toleration.Parse("a b"));
        Assert.Throws<BerthException>(() => Taint.Parse("=x"));
        Assert.Throws<BerthException>(() => Taint.Parse("a=b:never"));
    }
}
