using System.Net;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class SubnetPartsTests
{
    private static readonly IPAddress Somewhere = IPAddress.Parse("192.168.7.1");

    [Theory]
    [InlineData("10.20.0.0/16", 256, "10.20.0.0/24", "10.20.255.0/24")]
    [InlineData("10.192.0.0/18", 64, "10.192.0.0/24", "10.192.63.0/24")]
    [InlineData("10.20.0.0/20", 16, "10.20.0.0/24", "10.20.15.0/24")]
    [InlineData("10.20.0.0/21", 16, "10.20.0.0/25", "10.20.7.128/25")]
    [InlineData("10.20.30.0/24", 16, "10.20.30.0/28", "10.20.30.240/28")]
    public void A_subnet_is_shared_out_in_equal_parts(string subnet, int count, string first, string last)
    {
        IPNetwork whole = IPNetwork.Parse(subnet);

        Assert.Equal(count, SubnetParts.Count(whole));
        Assert.Equal((first, last), ($"{SubnetParts.At(whole, 0)}", $"{SubnetParts.At(whole, count - 1)}"));
    }

    [Fact]
    public void Each_machine_has_a_part_of_its_own_and_keeps_it_until_all_are_given()
    {
        Network network = Make("10.20.30.0/24");
        for (int i = 0; i < 16; i++)
        {
            SubnetLease given = SubnetParts.Give(network, $"node-{i}", Somewhere)!;
            network = network with { Leases = [.. network.Leases, given] };
        }

        Assert.Equal(Enumerable.Range(0, 16), network.Leases.Select(l => l.Number));
        Assert.Null(SubnetParts.Give(network, "one-more", Somewhere));
        Assert.Equal(
            new SubnetLease("node-3", 3, "192.168.7.9"),
            SubnetParts.Give(network, "node-3", IPAddress.Parse("192.168.7.9")));
        Assert.Equal(network.Leases[3], SubnetParts.Give(network, "node-3", null));
        network = network with { Leases = [.. network.Leases.Where(l => l.Node != "node-7")] };
        Assert.Equal(7, SubnetParts.Give(network, "one-more", Somewhere)!.Number);
    }

    [Fact]
    public void What_a_machine_must_know_has_its_part()
    {
        Network network = Make("10.20.0.0/16");

        NetworkDefinition definition = network.On(new SubnetLease("two", 2), Somewhere);

        Assert.Equal(new OverlaySegment(0x1a2b3c, IPNetwork.Parse("10.20.2.0/24"), Somewhere), definition.Overlay);
        Assert.Equal("10.20.2.1", definition.Gateway.ToString());
        Assert.Equal(network.Definition.Subnet, definition.Subnet);
    }

    [Fact]
    public void Those_that_are_chosen_overlap_none()
    {
        IPNetwork first = SubnetChoice.ChooseOverlay([])!.Value;
        IPNetwork second = SubnetChoice.ChooseOverlay([first])!.Value;

        Assert.Equal(("10.192.0.0/18", "10.192.64.0/18"), ($"{first}", $"{second}"));
        Assert.Null(SubnetChoice.ChooseOverlay([IPNetwork.Parse("10.0.0.0/8")]));
    }

    private static Network Make(string subnet) => new(
        new NetworkDefinition("0123456789ab", "shop", IPNetwork.Parse(subnet), false, 1450, ""), "somebody",
        default, new Dictionary<string, string>(), 0x1a2b3c);
}
