using System.Net;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Callbacks;

public sealed class AddressPolicyTests
{
    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("0.1.2.3")]
    [InlineData("10.0.0.1")]
    [InlineData("10.255.255.255")]
    [InlineData("100.64.0.1")]
    [InlineData("100.127.255.255")]
    [InlineData("127.0.0.1")]
    [InlineData("127.255.255.254")]
    [InlineData("169.254.169.254")]
    [InlineData("172.16.0.1")]
    [InlineData("172.31.255.255")]
    [InlineData("192.0.0.8")]
    [InlineData("192.0.2.1")]
    [InlineData("192.88.99.1")]
    [InlineData("192.168.1.1")]
    [InlineData("198.18.0.1")]
    [InlineData("198.19.255.255")]
    [InlineData("198.51.100.1")]
    [InlineData("203.0.113.1")]
    [InlineData("224.0.0.1")]
    [InlineData("239.255.255.255")]
    [InlineData("240.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:10.0.0.1")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("::127.0.0.1")]
    [InlineData("::a00:1")]
    [InlineData("64:ff9b::7f00:1")]
    [InlineData("64:ff9b::a9fe:a9fe")]
    [InlineData("64:ff9b:1::1")]
    [InlineData("100::1")]
    [InlineData("2001::1")]
    [InlineData("2001:db8::1")]
    [InlineData("2002:7f00:1::1")]
    [InlineData("2002:c0a8:101::")]
    [InlineData("3fff::1")]
    [InlineData("5f00::1")]
    [InlineData("fc00::1")]
    [InlineData("fd12:3456:789a::1")]
    [InlineData("fe80::1")]
    [InlineData("fe80::1%2")]
    [InlineData("2606:4700::1%3")]
    [InlineData("fec0::1")]
    [InlineData("ff02::1")]
    public void Internal_and_special_addresses_are_refused(string address) =>
        Assert.False(AddressPolicy.PublicOnly.Allows(IPAddress.Parse(address)));

    [Theory]
    [InlineData("1.1.1.1")]
    [InlineData("9.255.255.255")]
    [InlineData("11.0.0.0")]
    [InlineData("100.63.255.255")]
    [InlineData("100.128.0.0")]
    [InlineData("128.0.0.1")]
    [InlineData("169.253.255.255")]
    [InlineData("172.15.255.255")]
    [InlineData("172.32.0.0")]
    [InlineData("192.167.255.255")]
    [InlineData("198.17.255.255")]
    [InlineData("223.255.255.255")]
    [InlineData("::ffff:1.1.1.1")]
    [InlineData("64:ff9b::101:101")]
    [InlineData("2002:101:101::1")]
    [InlineData("2606:4700::1111")]
    [InlineData("2a00:1450:4001::1")]
    public void Public_addresses_are_allowed(string address) =>
        Assert.True(AddressPolicy.PublicOnly.Allows(IPAddress.Parse(address)));

    [Theory]
    [InlineData("http://127.0.0.1/")]
    [InlineData("http://2130706433/")]
    [InlineData("http://0x7f000001/")]
    [InlineData("http://0177.0.0.1/")]
    [InlineData("http://127.1/")]
    [InlineData("http://127.0.0.1./")]
    [InlineData("http://[::1]/")]
    [InlineData("http://[::ffff:7f00:1]/")]
    [InlineData("http://[fe80::1%25eth0]/")]
    [InlineData("http://localhost:8080/")]
    [InlineData("http://LOCALHOST./")]
    [InlineData("http://a.localhost/")]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://user:password@example.org/")]
    [InlineData("http://example.org@127.0.0.1/")]
    [InlineData("ftp://example.org/")]
    [InlineData("file:///etc/passwd")]
    [InlineData("gopher://example.org/")]
    public void A_callback_that_could_never_be_allowed_is_refused_when_it_is_asked_for(string target)
    {
        // What is no URL at all does not come this far.
        if (!Uri.TryCreate(target, UriKind.Absolute, out Uri? uri))
        {
            return;
        }

        BerthException error = Assert.Throws<BerthException>(() => CallbackPolicy.PublicOnly.Check(uri));

        Assert.Equal(ErrorCode.CallbackForbidden, error.Code);
    }

    [Theory]
    [InlineData("https://example.org/done?run=1")]
    [InlineData("http://example.org:8080/")]
    [InlineData("https://[2606:4700::1111]/")]
    [InlineData("https://bücher.example/")]
    public void An_ordinary_callback_is_accepted(string target) => CallbackPolicy.PublicOnly.Check(new Uri(target));

    [Fact]
    public void The_operator_may_allow_networks_addresses_and_names()
    {
        CallbackPolicy policy = new(["10.1.0.0/16", "127.0.0.1", "hooks.internal"]);

        policy.Check(new Uri("http://10.1.2.3/"));
        policy.Check(new Uri("http://127.0.0.1:9000/"));
        policy.Check(new Uri("http://localhost:9000/"));
        Assert.True(policy.Allows("hooks.internal", IPAddress.Parse("192.168.7.7")));
        Assert.True(policy.Allows("other", IPAddress.Parse("::ffff:10.1.0.9")));
        Assert.False(policy.Allows("other", IPAddress.Parse("192.168.7.7")));
        Assert.Throws<BerthException>(() => policy.Check(new Uri("http://10.2.0.1/")));
        Assert.Throws<BerthException>(() => policy.Check(new Uri("http://127.0.0.2/")));
    }

    [Fact]
    public void A_failed_callback_is_put_off_longer_each_time_and_given_up_after_a_day()
    {
        DateTimeOffset first = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        Assert.Equal(first.AddSeconds(1), CallbackSchedule.Next(1, first, first));
        Assert.Equal(first.AddSeconds(8), CallbackSchedule.Next(4, first, first));
        Assert.Equal(first.AddHours(1), CallbackSchedule.Next(99, first, first));
        Assert.Null(CallbackSchedule.Next(99, first, first.AddHours(23.5)));
    }
}
