using Berth.Core.Nodes;
using Xunit;

namespace Berth.Tests.Neighbours;

public sealed class NeighbourChoiceTests
{
    private static readonly LayerHolder[] Holders =
        [new("a", "cellar"), new("b", "roof"), new("c", "cellar"), new("d", null), new("e", "roof")];

    [Fact]
    public void Those_of_the_same_zone_come_first() =>
        Assert.Equal(["b", "e"], NeighbourChoice.Choose(Holders, "roof", turn: 0).Take(2));

    [Fact]
    public void Few_are_named() =>
        Assert.Equal(NeighbourChoice.Most, NeighbourChoice.Choose(Holders, "attic", turn: 0).Count);

    [Theory]
    [InlineData("cellar")]
    [InlineData("attic")]
    [InlineData(null)]
    public void Each_that_is_near_is_first_in_its_turn(string? zone)
    {
        string[] near =
        [
            .. Holders.Where(h => h.Zone == zone || Holders.All(o => o.Zone != zone) || zone is null)
                .Select(h => h.Name),
        ];

        string[] first = [.. Enumerable.Range(0, near.Length)
            .Select(turn => NeighbourChoice.Choose(Holders, zone, (uint)turn)[0])];

        Assert.Equal(near, first.Order());
    }

    [Fact]
    public void Nobody_has_it() => Assert.Empty(NeighbourChoice.Choose([], "roof", uint.MaxValue));
}
