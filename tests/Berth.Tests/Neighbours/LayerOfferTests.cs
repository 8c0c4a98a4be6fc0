using Berth.Api.Links;
using Xunit;

namespace Berth.Tests.Neighbours;

public sealed class LayerOfferTests
{
    [Theory]
    [InlineData("192.168.7.2:7081")]
    [InlineData("127.0.0.1:443")]
    [InlineData("[fd00::1]:7081")]
    public void An_address_and_a_port_can_be_dialled(string text) =>
        Assert.Equal(text, LayerOffer.ReadAddress(text)?.ToString());

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("192.168.7.2")]
    [InlineData("192.168.7.2:0")]
    [InlineData("192.168.7.2:65536")]
    [InlineData("0.0.0.0:7081")]
    [InlineData("255.255.255.255:7081")]
    [InlineData("224.0.0.1:7081")]
    [InlineData("[::]:7081")]
    [InlineData("[ff02::1]:7081")]
    [InlineData("[fe80::1%3]:7081")]
    [InlineData("[::ffff:192.168.7.2]:7081")]
    [InlineData("worker-1:7081")]
    [InlineData("*:7081")]
    public void Anything_else_is_none(string? text) => Assert.Null(LayerOffer.ReadAddress(text));
}
