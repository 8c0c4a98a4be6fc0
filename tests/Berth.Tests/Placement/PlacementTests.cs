using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Placement;

public sealed class PlacementTests
{
    private static readonly NodeResources Large = new(4000, ByteSize.GiB(8), ByteSize.GiB(100));

    [Theory]
    [InlineData(1, " (n0)")]
    [InlineData(8, " (n0, n1, n2, n3, n4, n5, n6, n7)")]
    [InlineData(9, " (n0, n1, n2, n3, n4, n5, n6, n7, …)")]
    [InlineData(65, "")]
    public void Nodes_that_lack_something_are_named_where_they_are_few(int lacking, string names)
    {
        PlacementIndex index = With(
            [
                .. Enumerable.Range(0, lacking).Reverse().Select(i => new NodeSnapshot($"n{i}", Large)),
                new NodeSnapshot("has", Large) { Features = new HashSet<string> { "wireguard" } },
            ]);

        PlacementPlan plan = index.Place(Request("r") with { Features = ["wireguard"] });

        Assert.Equal("has", plan.Node);
        Assert.Contains($"refused by missing wireguard {lacking}{names}.", plan.Explain(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_herd_in_one_tick_fills_each_node_to_its_capacity_and_no_further()
    {
        PlacementIndex index = With([.. Enumerable.Range(0, 10).Select(i => new NodeSnapshot($"n{i}", Large))]);

        PlacementPlan[] plans = [.. Enumerable.Range(0, 50).Select(i => index.Place(Request($"r{i}")))];

        Assert.Equal(40, plans.Count(plan => plan.Node is not null));
        Assert.All(
            plans.Where(p => p.Node is not null).GroupBy(plan => plan.Node), node => Assert.Equal(4, node.Count()));
        Assert.Equal(
            "No node takes it: 0 of 10 nodes could take it; refused by CPU (1 asked) 10.", plans[^1].Explain());
    }

    [Fact]
    public void The_explanation_tells_who_refused_and_by_how_much_the_winner_won()
    {
        PlacementIndex index = With(
            new NodeSnapshot("a", Large) { Labels = Zone("eu"), Images = new HashSet<string> { "sha256:1" } },
            new NodeSnapshot("b", Large) { Labels = Zone("eu"), Load = 0.5 },
            new NodeSnapshot("c", Large) { Labels = Zone("us") },
            new NodeSnapshot("d", Large) { State = NodeAvailability.Cordoned },
            new NodeSnapshot("e", Large) { Taints = [Taint.Parse("dedicated=ml")] });

        PlacementPlan plan = index.Place(Request("r") with
        {
            Constraints = [NodeConstraint.Parse("zone=eu")],
            Image = "sha256:1",
        });

        Assert.Equal(
            "Goes to node a: 2 of 5 nodes could take it; refused by node cordoned 1, taint dedicated=ml 1, "
            + "constraint zone=eu 1. Points: a 200 (image held 200); next b -25 (load -25).",
            plan.Explain());
    }

    [Fact]
    public void Sandboxes_that_stand_ready_are_given_away_once_each()
    {
        PlacementIndex index = With(
            new NodeSnapshot("a", Large) { Prepared = new Dictionary<string, int> { ["f@3"] = 2 } },
            new NodeSnapshot("b", Large));

        string[] scores = [.. Enumerable.Range(0, 3).Select(i => index.Place(
            Request($"r{i}") with { Revision = "f@3", Strategy = PlacementStrategy.Spread }).Winner!.Text)];

        Assert.Equal(
            [
                "500 (prepared sandbox 400, fullness 100)", "475 (prepared sandbox 400, fullness 75)",
                "100 (fullness 100)",
            ],
            scores);
    }

    [Fact]
    public void Work_of_higher_priority_ends_as_little_batch_work_as_makes_room()
    {
        PlacementIndex index = With(new NodeSnapshot("a", Large), new NodeSnapshot("b", Large));
        for (int i = 0; i < 8; i++)
        {
            index.Place(Request($"batch{i}") with { IsBatch = true, Priority = i % 2 });
        }

        PlacementPlan refused = index.Plan(Request("same") with { Priority = 0 });
        PlacementPlan placed = index.Place(Request("urgent") with { Priority = 5 });

        Assert.Null(refused.Node);
        Assert.Equal(0, Assert.Single(placed.Evicted).Priority);
        Assert.EndsWith($"Ended there for its priority: {placed.Evicted[0].Id}.", placed.Explain());
        Assert.Equal(4, index.Find(placed.Node!)!.Runs.Count);
    }

    [Fact]
    public void A_reservation_outlives_a_report_that_does_not_know_of_it_and_ends_with_one_that_no_longer_does()
    {
        NodeSnapshot node = new("a", Large);
        PlacementIndex index = With(node);
        PlacedRun run = PlacedRun.Of(Request("r"), []);
        index.Place(Request("r"));

        index.Update(node with { Load = 0.1 });
        Assert.Single(index.Find("a")!.Runs);
        index.Update(node with { Runs = [run] });
        Assert.Single(index.Find("a")!.Runs);
        index.Update(node);

        Assert.Empty(index.Find("a")!.Runs);
        Assert.Equal(0, index.Shares.Of("ann"));
    }

    [Fact]
    public void Devices_are_given_to_one_alone_and_the_smallest_that_will_do_goes_first()
    {
        PlacementIndex index = With(new NodeSnapshot("a", Large)
        {
            Gpus = [new("0", "h100", ByteSize.GiB(80)), new("1", "a100", ByteSize.GiB(40))],
        });
        PlacementRequest asked = Request("r0") with { Gpus = new GpuDemand(1, ByteSize.GiB(20)) };

        PlacementPlan first = index.Place(asked);
        PlacementPlan second = index.Place(asked with
        {
            Id = "r1",
            Constraints = [NodeConstraint.Parse("gpu.model in (a100,h100)")],
        });
        PlacementPlan third = index.Place(asked with { Id = "r2" });

        Assert.Equal(["1", "0"], first.Gpus.Concat(second.Gpus));
        Assert.Equal("No node takes it: 0 of 1 node could take it; refused by GPUs (1 asked) 1.", third.Explain());
    }

    [Fact]
    public void Who_holds_the_smallest_dominant_share_goes_next_and_priority_goes_before()
    {
        PlacementIndex index = With(new NodeSnapshot("a", new NodeResources(9000, ByteSize.GiB(18), default)));
        PlacementQueue queue = new(index.Shares);
        // The example of the paper: one needs processors, the other memory.
        for (int i = 0; i < 9; i++)
        {
            queue.Add(new PlacementRequest($"a{i}", "a", new NodeResources(1000, ByteSize.GiB(4), default)));
            queue.Add(new PlacementRequest($"b{i}", "b", new NodeResources(3000, ByteSize.GiB(1), default)));
        }

        queue.Add(new PlacementRequest("first", "b", default) { Priority = 1 });
        IReadOnlyList<PlacementPlan> plans = Planner.Round(index, queue, 100);

        Assert.Equal("first", plans[0].Request.Id);
        Assert.Equal(3, plans.Count(p => p.Node is not null && p.Request.Tenant == "a"));
        Assert.Equal(2, plans.Count(p => p.Node is not null && p.Request.Tenant == "b" && p.Request.Priority == 0));
        Assert.Equal(13, queue.Count);
        Assert.Equal("a3", plans.First(p => p.Node is null && p.Request.Tenant == "a").Request.Id);
    }

    [Fact]
    public void A_request_that_would_cost_more_than_others_is_refused()
    {
        PlacementIndex index = With(new NodeSnapshot("a", Large));
        PlacementRequest[] wrong =
        [
            Request("r") with { Constraints = [.. Enumerable.Repeat(NodeConstraint.Parse("a"), 33)] },
            Request("r") with { Spread = new SpreadRule("arch", null) },
            Request("r") with { Spread = new SpreadRule(null, 0) },
            Request("r") with { Affinities = [new AffinityRule("g", null, false, 101)] },
        ];

        Assert.All(wrong, request =>
            Assert.Equal(ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => index.Plan(request)).Code));
    }

    [Fact]
    public void Without_any_node_nothing_is_placed() => Assert.Equal(
        "No node takes it: 0 of 0 nodes could take it.",
        new PlacementIndex(1).Place(Request("r") with { Priority = 1 }).Explain());

    private static Dictionary<string, string> Zone(string zone) => new() { ["zone"] = zone };

    private static PlacementRequest Request(string id) =>
        new(id, "ann", new NodeResources(1000, ByteSize.MiB(256), ByteSize.MiB(512)));

    private static PlacementIndex With(params NodeSnapshot[] nodes)
    {
        PlacementIndex index = new(1);
        foreach (NodeSnapshot node in nodes)
        {
            index.Update(node);
        }

        return index;
    }
}
