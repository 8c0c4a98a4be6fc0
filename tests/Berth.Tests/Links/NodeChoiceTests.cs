using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Server.Nodes;
using Xunit;

namespace Berth.Tests.Links;

public sealed class NodeChoiceTests
{
    private static readonly NodeOffer Own = new("own", 4, 0, IsOwn: true, IsOpen: true, HasImage: true);
    private static readonly NodeOffer Other = new("other", 4, 0, IsOwn: false, IsOpen: true, HasImage: true);

    [Fact]
    public void The_least_loaded_gets_it_and_among_equals_the_own() =>
        Assert.Equal(
            ["own", "other"],
            [Choose(Other, Own), Choose(Own with { Running = 1 }, Other)]);

    [Fact]
    public void One_that_has_the_image_goes_before_one_that_would_fetch_it_unless_it_is_far_fuller()
    {
        NodeOffer empty = Other with { HasImage = false };

        Assert.Equal("own", Choose(Own with { Running = 1 }, empty with { Running = 1 }));
        Assert.Equal("other", Choose(Own with { Running = 3 }, empty));
    }

    [Fact]
    public void A_full_one_comes_last() =>
        Assert.Equal("other", Choose(Own with { Running = 4 }, Other with { Places = 100, Running = 99 }));

    [Fact]
    public void What_needs_the_own_machine_stays_there_and_is_refused_where_that_takes_nothing()
    {
        Assert.Equal("own", NodeChoice.Choose([Own with { Running = 3 }, Other], ownOnly: true));

        BerthException refusal = Assert.Throws<BerthException>(
            () => NodeChoice.Choose([Own with { IsOpen = false }, Other], ownOnly: true));
        Assert.Equal(ErrorCode.NodeFault, refusal.Code);
        Assert.NotNull(refusal.RetryAfter);
    }

    [Fact]
    public void Health_follows_the_silence()
    {
        Assert.Equal(NodeState.Joined, NodeHealth.Of(null, wasHeard: false, null));
        Assert.Equal(NodeState.Ready, NodeHealth.Of(TimeSpan.Zero, true, null));
        Assert.Equal(NodeState.Suspect, NodeHealth.Of(NodeHealth.SuspectAfter, true, null));
        Assert.Equal(NodeState.Lost, NodeHealth.Of(NodeHealth.LostAfter, true, null));
        Assert.Equal(NodeState.Lost, NodeHealth.Of(null, wasHeard: true, null));
        Assert.Equal(NodeState.Refused, NodeHealth.Of(null, wasHeard: true, "clock"));
    }

    [Theory]
    [InlineData("Host_1.Example", "host_1.example")]
    [InlineData("-x-", "x")]
    [InlineData("", "node")]
    [InlineData("ä", "node")]
    public void A_host_name_is_made_to_fit(string hostName, string name)
    {
        Assert.Equal(name, NodeName.From(hostName));
        Assert.True(NodeName.IsValid(name));
    }

    private static string Choose(params NodeOffer[] offers) => NodeChoice.Choose(offers, ownOnly: false);
}
