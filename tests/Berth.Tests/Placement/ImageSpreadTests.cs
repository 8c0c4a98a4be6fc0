using Berth.Core.Placement;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Placement;

/// <summary>Which nodes are to fetch an image before they need it.</summary>
public sealed class ImageSpreadTests
{
    private const string Image = "sha256:1";

    private static readonly NodeResources Small = new(100, ByteSize.MiB(64), default);

    private readonly PlacementIndex index = new(7);

    [Fact]
    public void As_a_function_grows_the_nodes_that_come_next_fetch_its_image()
    {
        Add(5, node => node.Name == "n0" ? node with { Images = new HashSet<string> { Image } } : node);

        int[] asked = [.. Enumerable.Range(0, 13).Select(i =>
        {
            index.Place(Request($"r{i}"));
            return index.ToFetch(Request("next"), 100).Count;
        })];

        // One node for every three runs, beside the first; that one has it.
        Assert.Equal([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4], asked);
    }

    [Fact]
    public void Each_instance_goes_to_another_node_so_one_more_than_there_are_has_the_image()
    {
        Add(4, node => node);
        PlacementRequest request = Request("i") with { TakesPlace = false };

        int before = index.ToFetch(request, 100).Count;
        index.Place(request with { Id = "i1" });

        Assert.Equal((1, 2), (before, index.ToFetch(request, 100).Count));
    }

    [Fact]
    public void Nodes_that_have_it_or_fetch_it_or_may_not_have_the_run_are_not_asked()
    {
        Add(6, node => node.Name switch
        {
            "n1" => node with { Images = new HashSet<string> { Image } },
            "n2" => node with { ComingImages = new HashSet<string> { Image } },
            "n3" => node with { State = NodeAvailability.Cordoned },
            "n4" => node with { Taints = [Taint.Parse("dedicated=ml")] },
            _ => node,
        });
        for (int i = 0; i < 30; i++)
        {
            index.Place(Request($"r{i}"));
        }

        IReadOnlyList<string> asked = index.ToFetch(Request("next"), 100);
        index.Update(Node("n2"));

        Assert.Equal(["n0", "n5"], asked.Order());
        Assert.Equal(["n0", "n2", "n5"], index.ToFetch(Request("next"), 100).Order());
    }

    [Fact]
    public void The_emptiest_fetch_first_and_no_more_than_asked()
    {
        Add(200, node => node);
        for (int i = 0; i < 30; i++)
        {
            index.Place(Request($"other{i}") with
            {
                Group = "other",
                Constraints = [NodeConstraint.Parse("node notin (n150)")],
            });
            index.Place(Request($"r{i}") with { Constraints = [NodeConstraint.Parse("node=n1")] });
        }

        IReadOnlyList<string> asked = index.ToFetch(
            Request("next") with { Constraints = [NodeConstraint.Parse("node in (n1,n2,n3,n150)")] }, 2);

        Assert.Equal(2, asked.Count);
        Assert.DoesNotContain("n1", asked);
    }

    [Fact]
    public void Without_an_image_there_is_nothing_to_fetch()
    {
        Add(3, node => node);

        Assert.Empty(index.ToFetch(Request("next") with { Image = null }, 100));
    }

    private static NodeSnapshot Node(string name) =>
        new(name, new NodeResources(100_000, ByteSize.GiB(64), default)) { Places = 50 };

    private static PlacementRequest Request(string id) => new(id, "tenant", Small)
    {
        Group = "resize",
        Image = Image,
        Spread = new SpreadRule(null, null),
        Strategy = PlacementStrategy.Spread,
    };

    private void Add(int nodes, Func<NodeSnapshot, NodeSnapshot> with)
    {
        for (int i = 0; i < nodes; i++)
        {
            index.Update(with(Node($"n{i}")));
        }
    }
}
