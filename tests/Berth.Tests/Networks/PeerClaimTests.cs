using System.Net;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class PeerClaimTests
{
    private static readonly PeerClaim One = Make("one", 1, 1);
    private static readonly PeerClaim Two = Make("two", 2, 2);

    [Fact]
    public void Who_says_what_nobody_else_says_is_believed() =>
        Assert.Empty(PeerClaim.Doubtful([One, Two, One, Make("three", 3, 3)]));

    [Fact]
    public void Of_two_that_say_the_same_address_or_the_same_key_neither_is()
    {
        Assert.Equal(["liar", "one"], PeerClaim.Doubtful([One, Two, Make("liar", 1, 3)]).Order());
        Assert.Equal(["liar", "two"], PeerClaim.Doubtful([One, Two, Make("liar", 3, 2)]).Order());
        Assert.Equal(["liar", "one", "two"], PeerClaim.Doubtful([One, Two, Make("liar", 1, 2)]).Order());
    }

    private static PeerClaim Make(string node, byte address, byte key) => new(
        node, new IPAddress([192, 168, 7, address]),
        new PeerKey(Convert.ToBase64String([.. Enumerable.Repeat(key, PeerKey.Length)]), 7072));
}
