using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Server.Nodes;
using Berth.Testing.Nodes;
using Xunit;

namespace Berth.Tests.Nodes;

public sealed class NodeIndexTests
{
    private static readonly NodeResources Small = new(1000, ByteSize.MiB(256), default);

    private readonly NodeIndex index = new(new FakeNode(TimeProvider.System), ownPlaces: 4);

    [Fact]
    public void The_server_s_own_node_alone_leaves_nothing_to_decide()
    {
        index.Update(Node("fake"));
        bool alone = index.IsOwnAlone;
        index.Update(Node("fake") with { State = NodeAvailability.Cordoned });
        bool cordoned = index.IsOwnAlone;
        index.Update(Node("fake"));
        index.Update(Node("other"));
        bool two = index.IsOwnAlone;
        index.Remove("other");

        Assert.Equal([true, false, false, true], [alone, cordoned, two, index.IsOwnAlone]);
    }

    [Fact]
    public void Places_are_those_of_nodes_that_take_new_work()
    {
        index.Update(Node("a"));
        index.Update(Node("b") with { State = NodeAvailability.Suspect });
        index.Update(Node("c") with { Places = 3 });

        Assert.Equal(5, index.Places);
    }

    [Fact]
    public async Task Runs_are_spread_and_counted_until_they_are_released()
    {
        index.Update(Node("a"));
        index.Update(Node("b"));

        string[] nodes = [.. (await PlaceAsync("1", "2", "3", "4")).Order()];

        Assert.Equal(["a", "a", "b", "b"], nodes);
        Assert.Equal((2, 2), (index.RunningOn("a"), index.RunningOn("b")));
        index.Release("a", "1");
        index.Release("b", "1");
        Assert.Equal(3, index.RunningOn("a") + index.RunningOn("b"));
    }

    [Fact]
    public async Task A_call_waits_for_room_and_gets_the_first_that_is_left()
    {
        index.Update(Node("a"));
        await PlaceAsync("1", "2");
        Task<PlacementPlan> third = index.PlaceAsync(Request("3"), mayWait: true, CancellationToken.None);
        Task<PlacementPlan> fourth = index.PlaceAsync(Request("4"), mayWait: true, CancellationToken.None);

        index.Release("a", "2");

        Assert.Equal("a", (await third).Node);
        Assert.False(fourth.IsCompleted);
        index.Update(Node("b"));
        Assert.Equal("b", (await fourth).Node);
    }

    [Fact]
    public async Task One_that_goes_away_while_it_waits_holds_nothing()
    {
        index.Update(Node("a"));
        await PlaceAsync("1", "2");
        using CancellationTokenSource gone = new();
        Task<PlacementPlan> third = index.PlaceAsync(Request("3"), mayWait: true, gone.Token);

        await gone.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
        index.Release("a", "1");
        Assert.Equal(1, index.RunningOn("a"));
    }

    [Fact]
    public async Task What_no_node_can_ever_take_is_refused_at_once_with_every_reason()
    {
        index.Update(Node("a") with { State = NodeAvailability.Cordoned });
        index.Update(Node("b") with { Taints = [Taint.Parse("dedicated=ml")] });
        index.Update(Node("c"));

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => index.PlaceAsync(
            Request("1") with { Constraints = [NodeConstraint.Parse("zone=attic")] }, mayWait: true,
            CancellationToken.None));

        Assert.Equal(ErrorCode.NoNode, refusal.Code);
        Assert.NotNull(refusal.RetryAfter);
        Assert.Equal(
            "No node takes it: 0 of 3 nodes could take it; refused by node cordoned 1, taint dedicated=ml 1, "
            + "constraint zone=attic 1. 'berth node ls' shows the nodes.",
            refusal.Message);
    }

    [Fact]
    public async Task More_memory_than_any_node_has_is_not_waited_for()
    {
        index.Update(Node("a"));

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => index.PlaceAsync(
            Request("1") with { Resources = Small with { Memory = ByteSize.GiB(64) } }, mayWait: true,
            CancellationToken.None));

        Assert.Contains("memory (64 GiB asked) 1", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_gives_way_is_waited_for_and_counted_again_where_that_was_in_vain()
    {
        index.Update(Node("a"));
        await index.PlaceAsync(Batch("1"), mayWait: false, CancellationToken.None);
        await index.PlaceAsync(Batch("2"), mayWait: false, CancellationToken.None);
        PlacementPlan first = await index.PlaceAsync(Request("3"), mayWait: true, CancellationToken.None);
        Task cleared = index.ClearedAsync(first);

        Assert.False(cleared.IsCompleted);
        index.Release("a", Assert.Single(first.Evicted).Id);
        await cleared;
        PlacementPlan second = await index.PlaceAsync(Request("4"), mayWait: true, CancellationToken.None);
        index.Release("a", "4");
        await index.ClearedAsync(second);

        Assert.Equal(2, index.RunningOn("a"));
        index.Release("a", Assert.Single(second.Evicted).Id);
        Assert.Equal(1, index.RunningOn("a"));
    }

    [Fact]
    public async Task What_gives_way_gets_what_is_left_after_all_others()
    {
        index.Update(Node("a"));
        await PlaceAsync("1", "2");
        Task<PlacementPlan> batch = index.PlaceAsync(Batch("3"), mayWait: true, CancellationToken.None);
        Task<PlacementPlan> usual = index.PlaceAsync(Request("4"), mayWait: true, CancellationToken.None);

        index.Release("a", "1");

        Assert.Equal("a", (await usual).Node);
        Assert.False(batch.IsCompleted);
        Assert.Null(index.Choice(Batch("5")));
    }

    [Fact]
    public async Task One_place_that_is_left_wakes_one_of_those_that_watch()
    {
        index.Update(Node("a"));
        await PlaceAsync("1", "2");
        int woken = 0;
        TaskCompletionSource first = new();
        for (int i = 3; i < 10; i++)
        {
            index.Watch(Request($"{i}"), () =>
            {
                Interlocked.Increment(ref woken);
                first.TrySetResult();
            });
        }

        index.Release("a", "1");
        await first.Task;

        Assert.Equal((1, 1), (woken, index.RunningOn("a")));
    }

    [Fact]
    public async Task Room_that_was_left_before_anybody_watched_wakes_at_once_and_who_left_is_not_woken()
    {
        index.Update(Node("a"));
        TaskCompletionSource woken = new();
        using IDisposable watch = index.Watch(Request("1"), woken.SetResult);
        await woken.Task;
        await PlaceAsync("1", "2");
        bool wrongly = false;
        index.Watch(Request("3"), () => wrongly = true).Dispose();

        index.Release("a", "1");
        await PlaceAsync("4");

        Assert.False(wrongly);
    }

    [Fact]
    public void The_first_unmet_constraint_is_told_by_what_a_node_has()
    {
        index.Update(Node("a") with
        {
            Labels = new Dictionary<string, string> { ["zone"] = "cellar" },
            Features = new HashSet<string> { "avx2" },
            Gpus = [new GpuDevice("0", "nvidia-a100", default)],
        });

        Assert.Null(Unmet("node=a", "arch=amd64", "cpu.feature=avx2", "zone!=attic", "gpu.model=nvidia-a100"));
        Assert.Equal("ssd", Unmet("zone", "ssd")?.Text);

        NodeConstraint? Unmet(params string[] texts) =>
            index.FirstUnmet("a", [.. texts.Select(NodeConstraint.Parse)]);
    }

    [Theory]
    [InlineData("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb")]
    [InlineData("Tesla T4", "tesla-t4")]
    public void A_device_s_name_becomes_a_word_of_constraints(string name, string model) =>
        Assert.Equal(model, NodeConstraint.Parse("gpu.model=" + NodeSnapshots.ModelOf(name)).Values[0]);

    private static NodeSnapshot Node(string name) =>
        new(name, new NodeResources(2000, ByteSize.GiB(4), default)) { Places = 2 };

    private static PlacementRequest Request(string id) => new(id, "tenant", Small)
    {
        Group = "group",
        Spread = new SpreadRule(null, null),
        Strategy = PlacementStrategy.Spread,
    };

    private static PlacementRequest Batch(string id) =>
        Request(id) with { Priority = -1, IsBatch = true, Evicts = false };

    private async Task<IReadOnlyList<string>> PlaceAsync(params string[] ids)
    {
        List<string> nodes = [];
        foreach (string id in ids)
        {
            nodes.Add((await index.PlaceAsync(Request(id), mayWait: false, CancellationToken.None)).Node!);
        }

        return nodes;
    }
}
