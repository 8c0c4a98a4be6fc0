using System.Net;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class EgressRulesTests
{
    [Theory]
    [InlineData("", "93.184.216.34", true)]
    [InlineData("", "10.0.0.1", false)]
    [InlineData("", "192.168.1.1", false)]
    [InlineData("", "127.0.0.1", false)]
    [InlineData("", "169.254.169.254", false)]
    [InlineData("", "100.64.0.1", false)]
    [InlineData("", "224.0.0.1", false)]
    [InlineData("", "255.255.255.255", false)]
    [InlineData("deny:0.0.0.0/0", "93.184.216.34", false)]
    [InlineData("allow:93.184.216.0/24 deny:0.0.0.0/0", "93.184.216.34", true)]
    [InlineData("deny:93.184.216.34 allow:93.184.216.0/24", "93.184.216.34", false)]
    [InlineData("deny:93.184.216.34 allow:93.184.216.0/24", "93.184.216.35", true)]
    [InlineData("allow:10.1.0.0/16", "10.1.2.3", true)]
    [InlineData("allow:10.1.0.0/16", "10.2.2.3", false)]
    [InlineData("allow:0.0.0.0/0", "169.254.169.254", false)]
    [InlineData("allow:169.254.169.254", "169.254.169.254", false)]
    public void The_first_rule_that_fits_decides_and_link_local_is_never_open(string rules, string to, bool allowed) =>
        Assert.Equal(allowed, EgressRules.Restore(rules).Allows(IPAddress.Parse(to)));

    [Theory]
    [InlineData("permit:10.0.0.0/8")]
    [InlineData("allow:fd00::/8")]
    [InlineData("allow:")]
    [InlineData("allow")]
    [InlineData("")]
    [InlineData("allow:10.0.0.0/33")]
    public void What_is_no_rule_is_not_read(string text) => Assert.False(EgressRules.TryParse([text], out _));

    [Fact]
    public void Bits_behind_the_prefix_mean_nothing() =>
        Assert.Equal("allow:10.0.0.0/8", EgressRules.Restore("allow:10.0.0.1/8").ToString());

    [Fact]
    public void There_is_a_most_of_rules()
    {
        string[] most = [.. Enumerable.Range(0, EgressRules.MaxRules).Select(i => $"deny:10.0.{i}.0/24")];

        Assert.True(EgressRules.TryParse(most, out EgressRules? rules));
        Assert.Equal(rules.ToString(), EgressRules.Restore(rules.ToString()).ToString());
        Assert.False(EgressRules.TryParse([.. most, "deny:1.1.1.1"], out _));
    }

    [Theory]
    [InlineData("10.1.0.0/16", true)]
    [InlineData("0.0.0.0/0", true)]
    [InlineData("8.0.0.0/5", true)]
    [InlineData("93.184.216.0/24", false)]
    public void A_rule_that_reaches_the_inside_is_known_as_one(string to, bool isOpening) =>
        Assert.Equal(isOpening, new EgressRule(true, IPNetwork.Parse(to)).IsOpening);
}
