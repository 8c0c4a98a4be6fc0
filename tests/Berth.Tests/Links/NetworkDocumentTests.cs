using System.Net;
using System.Text;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Links;

public sealed class NetworkDocumentTests
{
    private static readonly NetworkDefinition Shop = new(
        "0123456789ab", "shop", IPNetwork.Parse("10.20.0.0/16"), true, 1400, "deny:0.0.0.0/0",
        new OverlaySegment(0x1a2b3c, IPNetwork.Parse("10.20.2.0/24"), IPAddress.Parse("192.168.7.1")));

    [Fact]
    public void A_network_arrives_as_it_was_and_one_of_a_single_machine_is_not_said()
    {
        Assert.Equal(Shop, NetworkOrder.Of(Shop)!.Read());
        NetworkDefinition safe = Shop with { Overlay = Shop.Overlay! with { IsEncrypted = true } };
        Assert.Equal(safe, NetworkOrder.Of(safe)!.Read());
        Assert.Null(NetworkOrder.Of(Shop with { Overlay = null }));
        Assert.Null(NetworkOrder.Of(null));
    }

    [Fact]
    public void What_is_no_network_is_not_read()
    {
        NetworkOrder good = NetworkOrder.Of(Shop)!;
        NetworkOrder[] bad =
        [
            good with { Id = "../../etc/pass" }, good with { Id = null! }, good with { Name = "a b" },
            good with { Name = "host" }, good with { Subnet = "8.8.0.0/16" }, good with { Subnet = "" },
            good with { Part = "10.21.0.0/24" }, good with { Part = "10.20.0.0/16" },
            good with { Part = "10.20.2.0/30" },
            good with { Mtu = 100 }, good with { Mtu = 100_000 }, good with { Segment = 0 },
            good with { Segment = 1 << 24 }, good with { Address = "::1" }, good with { Address = null! },
            good with { Egress = "open:everything" },
        ];

        Assert.All(bad, order => Assert.Throws<ArgumentException>(() => order.Read()));
    }

    [Fact]
    public void What_a_server_says_and_what_a_node_says_arrive_as_they_were()
    {
        SharedNetwork said = new(
            Shop.Id, IPAddress.Parse("192.168.7.1"),
            [
                new NetworkPeer(IPAddress.Parse("192.168.7.2"), IPNetwork.Parse("10.20.3.0/24")),
                new NetworkPeer(
                    IPAddress.Parse("192.168.7.3"), IPNetwork.Parse("10.20.4.0/24"),
                    new PeerKey(Convert.ToBase64String(new byte[32]), 7072)),
            ],
            [new FoundName("web", IPAddress.Parse("10.20.3.2"))]);

        SharedNetwork heard = Assert.Single(NetworksReport.Of([said]).Read());
        NetworkPresence present = Assert.Single(
            PresenceReport.Of([new NetworkPresence(Shop.Id, said.Names)]).Read());

        Assert.Equal((said.Id, said.Address), (heard.Id, heard.Address));
        Assert.Equal(said.Peers, heard.Peers);
        Assert.Equal(said.Names, heard.Names);
        Assert.Equal(said.Names, present.Names);
    }

    [Fact]
    public void Names_that_are_none_are_left_out_and_more_than_a_bound_too()
    {
        IPAddress address = IPAddress.Parse("10.20.3.2");
        IEnumerable<FoundName> many =
            Enumerable.Range(0, SharedNetwork.MaxNames + 1).Select(i => new FoundName($"n{i}", address));

        Assert.Equal(SharedNetwork.MaxNames, NameLine.Of(many).Count);
        Assert.Equal(
            ["web"],
            NameLine.Read([new("web", "10.20.3.2"), new("a.b", "10.20.3.2"), new("", "10.20.3.2"), new(null!, "x")])
                .Select(n => n.Name));
    }

    [Theory]
    [InlineData("""{"networks":[{"id":"a","address":"x"}]}""")]
    [InlineData("""{"networks":[{"id":"a","address":"1.2.3.4","peers":[{"address":"1.2.3.4","part":"x"}]}]}""")]
    [InlineData("""{"networks":[{"id":"a","address":"1.2.3.4","names":[{"name":"a","address":"::1"}]}]}""")]
    [InlineData("""{"networks":[{"id":"a"}]}""")]
    [InlineData(
        """
        {"networks":[{"id":"a","address":"1.2.3.4","peers":[{"address":"1.2.3.4","part":"10.0.0.0/8","key":"x"}]}]}
        """)]
    public void Nonsense_ends_the_link(string json)
    {
        NetworksReport report = JsonSerializer.Deserialize(
            Encoding.UTF8.GetBytes(json), NetworkLinkJson.Default.NetworksReport)!;

        Assert.Throws<LinkException>(() => report.Read());
    }

    [Theory]
    [InlineData("192.168.7.1", true)]
    [InlineData("::ffff:192.168.7.1", true)]
    [InlineData("127.0.0.1", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("224.0.0.1", false)]
    [InlineData("fd00::1", false)]
    public void Only_what_other_machines_can_send_to_is_a_machines_address(string text, bool isOne) =>
        Assert.Equal(isOne, LinkAddress.OfMachine(IPAddress.Parse(text)) is not null);
}
