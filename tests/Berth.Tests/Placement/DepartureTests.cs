using Berth.Core.Placement;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Placement;

/// <summary>What is ended for something else takes a while to be over.</summary>
public sealed class DepartureTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 200)];

    [Fact]
    public void The_room_of_what_is_being_ended_is_nobody_else_s()
    {
        PlacementIndex index = new(1);
        Departures departures = new(index);
        index.Update(Node("a", memory: 4, places: 8));
        index.Place(Batch("large", 4));

        PlacementPlan plan = index.Place(Usual("urgent", 1));
        departures.Begin(plan);
        PlacementPlan early = index.Plan(Usual("third", 1));
        PlacementPlan? cleared = departures.End("large");
        PlacementPlan late = index.Plan(Usual("third", 3));

        Assert.Equal("large", Assert.Single(plan.Evicted).Id);
        Assert.Equal((null, "a"), (early.Node, late.Node));
        Assert.Same(plan, cleared);
        Assert.Equal(0, departures.Count);
    }

    [Fact]
    public void What_is_taken_back_leaves_its_room_to_what_is_still_there()
    {
        PlacementIndex index = new(1);
        Departures departures = new(index);
        index.Update(Node("a", memory: 4, places: 8));
        index.Place(Batch("one", 2));
        index.Place(Batch("two", 2));
        PlacementPlan plan = index.Place(Usual("urgent", 4));
        departures.Begin(plan);
        departures.End("one");

        index.Release("a", "urgent");
        bool any = departures.Cancel("urgent");

        Assert.True(any);
        Assert.Equal(["two"], index.Find("a")!.Runs.Select(run => run.Id));
        Assert.Equal("a", index.Plan(Usual("next", 2) with { Evicts = false }).Node);
        Assert.Null(index.Plan(Usual("next", 3) with { Evicts = false }).Node);
        Assert.Null(departures.End("two"));
    }

    [Fact]
    public void Nothing_is_ended_where_that_is_not_enough_or_for_what_gives_way_itself()
    {
        PlacementIndex index = new(1);
        index.Update(Node("a", memory: 4, places: 8));
        index.Place(Usual("stays", 2));
        index.Place(Batch("low", 2) with { Priority = -50 });

        PlacementPlan large = index.Plan(Usual("large", 3));
        PlacementPlan batch = index.Plan(Batch("other", 1));

        Assert.Equal((null, null), (large.Node, batch.Node));
        Assert.Empty(large.Evicted);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void No_node_has_more_than_it_holds_and_nothing_is_ended_for_ever(int seed)
    {
        Played played = new(new Random(seed));

        played.Play();
        played.Finish();

        Assert.Equal(0, played.Left);
    }

    [Fact]
    public void Seeds_show_evictions_that_are_waited_for_and_taken_back()
    {
        Played[] all = [.. Enumerable.Range(1, 50).Select(seed => new Played(new Random(seed)))];
        foreach (Played played in all)
        {
            played.Play();
        }

        Assert.Contains(all, p => p.Evictions > 5);
        Assert.Contains(all, p => p.TakenBack > 0);
    }

    private static NodeSnapshot Node(string name, int memory, int places) =>
        new(name, new NodeResources(64_000, ByteSize.GiB(memory), default)) { Places = places };

    private static PlacementRequest Usual(string id, int memory) =>
        new(id, "tenant", new NodeResources(1000, ByteSize.GiB(memory), default));

    private static PlacementRequest Batch(string id, int memory) =>
        Usual(id, memory) with { Priority = -1, IsBatch = true, Evicts = false };

    /// <summary>A server that places and ends, and nodes on which it is counted what really is there.</summary>
    private sealed class Played
    {
        private const int Memory = 8;
        private const int Places = 6;

        private readonly Random random;
        private readonly PlacementIndex index = new(7);
        private readonly Departures departures;
        private readonly string[] nodes;

        /// <summary>What has a program, the ones that are being ended among them.</summary>
        private readonly Dictionary<string, (string Node, PlacementRequest Request)> running = [];

        /// <summary>What is being ended.</summary>
        private readonly HashSet<string> leaving = [];

        /// <summary>What was placed and waits for others to be over.</summary>
        private readonly Dictionary<string, PlacementPlan> waiting = [];
        private int made;

        public Played(Random random)
        {
            this.random = random;
            departures = new Departures(index);
            nodes = [.. Enumerable.Range(0, random.Next(1, 4)).Select(i => $"n{i}")];
            foreach (string node in nodes)
            {
                index.Update(Node(node, Memory, Places));
            }
        }

        public int Evictions { get; private set; }

        public int TakenBack { get; private set; }

        public int Left => departures.Count + waiting.Count + leaving.Count
            + nodes.Sum(node => index.Find(node)!.Runs.Count);

        public void Play()
        {
            for (int i = 0; i < 200; i++)
            {
                switch (random.Next(8))
                {
                    case < 4:
                        Place();
                        break;
                    case < 7 when running.Count > 0:
                        End(Pick(running.Keys));
                        break;
                    case 7 when waiting.Count > 0:
                        TakeBack(Pick(waiting.Keys));
                        break;
                    default:
                        break;
                }

                Check();
            }
        }

        public void Finish()
        {
            while (running.Count > 0)
            {
                End(Pick(running.Keys));
                Check();
            }
        }

        private void Place()
        {
            string id = $"r{made++}";
            int memory = random.Next(1, 6);
            PlacementRequest request = random.Next(2) == 0
                ? Batch(id, memory) with { Priority = -random.Next(1, 4) }
                : Usual(id, memory) with { Priority = random.Next(3), TakesPlace = random.Next(4) > 0 };
            PlacementPlan plan = index.Place(request);
            if (plan.Node is null)
            {
                return;
            }

            if (plan.Evicted.Count == 0)
            {
                running.Add(id, (plan.Node, request));
                return;
            }

            Assert.False(request.IsBatch);
            foreach (PlacedRun evicted in plan.Evicted)
            {
                Assert.True(evicted.IsBatch);
                Assert.True(running.ContainsKey(evicted.Id));
                leaving.Add(evicted.Id);
                Evictions++;
            }

            departures.Begin(plan);
            waiting.Add(id, plan);
        }

        private void End(string id)
        {
            (string node, _) = running[id];
            running.Remove(id);
            leaving.Remove(id);
            index.Release(node, id);
            if (departures.End(id) is { } plan)
            {
                waiting.Remove(plan.Request.Id);
                running.Add(plan.Request.Id, (plan.Node!, plan.Request));
            }
        }

        private void TakeBack(string id)
        {
            index.Release(waiting[id].Node!, id);
            Assert.True(departures.Cancel(id));
            waiting.Remove(id);
            TakenBack++;
        }

        /// <summary>What is there, and what was promised the room of none that is still there.</summary>
        private void Check()
        {
            foreach (string node in nodes)
            {
                PlacementRequest[] there = [.. running.Values.Where(r => r.Node == node).Select(r => r.Request)];
                Assert.InRange(there.Sum(r => r.Resources.Memory.Bytes), 0, ByteSize.GiB(Memory).Bytes);
                Assert.InRange(there.Count(r => r.TakesPlace), 0, Places);
                NodeSnapshot counted = index.Find(node)!;
                Assert.InRange(counted.Runs.Sum(r => r.Resources.Memory.Bytes), 0, ByteSize.GiB(Memory).Bytes);
                Assert.InRange(counted.Runs.Count(r => r.TakesPlace), 0, Places);
            }
        }

        private string Pick(IEnumerable<string> of)
        {
            string[] all = [.. of];
            return all[random.Next(all.Length)];
        }
    }
}
