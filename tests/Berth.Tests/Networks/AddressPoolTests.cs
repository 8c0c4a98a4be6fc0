using System.Net;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class AddressPoolTests
{
    private static readonly IPNetwork Small = IPNetwork.Parse("10.20.0.0/29");

    [Fact]
    public void Each_address_is_given_to_one_at_a_time_and_the_networks_own_to_nobody()
    {
        AddressPool pool = new(Small);

        string[] given = [.. Enumerable.Range(0, 5).Select(_ => pool.Take()!.ToString())];

        Assert.Equal(["10.20.0.2", "10.20.0.3", "10.20.0.4", "10.20.0.5", "10.20.0.6"], given);
        Assert.Null(pool.Take());
    }

    [Fact]
    public void One_that_came_back_is_given_again_as_late_as_can_be()
    {
        AddressPool pool = new(Small);
        IPAddress first = pool.Take()!;
        pool.Return(first);

        string[] given = [.. Enumerable.Range(0, 5).Select(_ => pool.Take()!.ToString())];

        Assert.Equal("10.20.0.2", given[^1]);
        Assert.Equal(5, given.Distinct().Count());
    }

    [Theory]
    [InlineData("10.20.0.2", true)]
    [InlineData("10.20.0.6", true)]
    [InlineData("10.20.0.0", false)]
    [InlineData("10.20.0.1", false)]
    [InlineData("10.20.0.7", false)]
    [InlineData("10.20.0.8", false)]
    [InlineData("192.168.0.2", false)]
    [InlineData("::1", false)]
    public void One_that_is_asked_for_must_be_of_the_subnet_and_free(string address, bool isToGive)
    {
        AddressPool pool = new(Small);
        IPAddress asked = IPAddress.Parse(address);

        Assert.Equal(isToGive, AddressPool.IsToGive(Small, asked));
        Assert.Equal(isToGive, pool.TryTake(asked));
        Assert.False(pool.TryTake(asked));
    }

    [Fact]
    public void Subnets_that_are_chosen_overlap_none_that_there_is()
    {
        List<IPNetwork> taken = [IPNetwork.Parse("10.128.0.0/16"), IPNetwork.Parse("10.129.0.128/25")];

        for (int i = 0; i < 3; i++)
        {
            IPNetwork chosen = SubnetChoice.Choose(taken)!.Value;
            Assert.DoesNotContain(taken, t => EgressRules.Overlap(t, chosen));
            taken.Add(chosen);
        }

        Assert.Equal("10.129.1.0/24", taken[2].ToString());
        Assert.Null(SubnetChoice.Choose([IPNetwork.Parse("10.0.0.0/8")]));
    }

    [Theory]
    [InlineData("10.0.0.0/8", true)]
    [InlineData("192.168.4.0/29", true)]
    [InlineData("100.64.0.0/10", true)]
    [InlineData("192.168.4.0/30", false)]
    [InlineData("0.0.0.0/0", false)]
    [InlineData("8.8.8.0/24", false)]
    [InlineData("169.254.0.0/16", false)]
    [InlineData("127.0.0.0/8", false)]
    [InlineData("172.0.0.0/8", false)]
    [InlineData("fd00::/64", false)]
    public void Only_private_addresses_make_a_network(string subnet, bool isValid) =>
        Assert.Equal(isValid, SubnetChoice.IsValid(IPNetwork.Parse(subnet)));
}
