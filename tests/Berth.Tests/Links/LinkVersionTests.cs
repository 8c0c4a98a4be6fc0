using Berth.Api.Links;
using Berth.Server.Nodes;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Which versions of the link work together, as docs/operations/upgrades.md says.</summary>
public sealed class LinkVersionTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(LinkProtocol.OldestVersion, LinkProtocol.OldestVersion)]
    [InlineData(LinkProtocol.OldestVersion, LinkProtocol.Version)]
    [InlineData(LinkProtocol.Version, LinkProtocol.Version + 7)]
    [InlineData(0, LinkProtocol.OldestVersion)]
    public void A_version_that_both_speak_is_enough(int oldest, int newest) =>
        Assert.Null(NodeLink.Complaint(Hello(oldest, newest), Now));

    [Theory]
    [InlineData(LinkProtocol.Version + 1, LinkProtocol.Version + 1)]
    [InlineData(LinkProtocol.OldestVersion - 1, LinkProtocol.OldestVersion - 1)]
    public void Without_one_the_node_is_told_both_and_what_helps(int oldest, int newest)
    {
        string complaint = NodeLink.Complaint(Hello(oldest, newest), Now)!;

        Assert.Equal(
            $"It speaks versions {oldest} to {newest} of the link (Berth 9.9), this server "
            + $"{LinkProtocol.OldestVersion} to {LinkProtocol.Version}: install the same version of Berth on both.",
            complaint);
    }

    private static NodeHello Hello(int oldest, int newest) => new(
        oldest, newest, "9.9", Now, new NodeFacts("runc", 2, 2, 1, "amd64", "Debian", "6.1", [], []), 4);
}
