using Berth.Core.Placement;
using Berth.Testing.Placement;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Placement;

/// <summary>What holds of every decision, whatever nodes and requests there are: clusters and scripts of changes from
/// seeds.</summary>
public sealed class PlacementPropertyTests
{
    [Fact]
    public void The_index_decides_as_a_scan_of_all_nodes_does_and_keeps_every_promise()
    {
        Config config = Config.QuickThrowOnFailure.WithMaxTest(150);
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            Script script = new(seed);
            for (int step = 0; step < 60; step++)
            {
                script.Step();
            }
        }).Check(config);
    }

    [Fact]
    public void The_same_nodes_requests_and_seed_give_the_same_plans()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            RandomCluster cluster = new(new Random(seed));
            NodeSnapshot[] nodes = [.. Enumerable.Range(0, 50).Select(i => cluster.Node($"node-{i}"))];
            PlacementRequest[] requests = [.. Enumerable.Range(0, 50).Select(_ => cluster.Request())];

            string[] first = Told(Planner.Plan(nodes, requests, 7));
            string[] second = Told(Planner.Plan(nodes, requests, 7));

            Assert.Equal(first, second);
        }).QuickCheckThrowOnFailure();
    }

    private static string[] Told(IReadOnlyList<PlacementPlan> plans) =>
        [.. plans.Select(plan => $"{plan.Request.Id} {plan.Node} {string.Join(',', plan.Gpus)} {plan.Explain()}")];

    private sealed class Script
    {
        private readonly Random random;
        private readonly RandomCluster cluster;
        private readonly ulong seed;
        private readonly PlacementIndex index;

        // What the index should know, kept here on its own.
        private readonly Dictionary<string, NodeSnapshot> nodes = [];
        private readonly Dictionary<(string Node, string Id), PlacedRun> runs = [];
        private readonly HashSet<(string Node, string Id)> told = [];

        public Script(int from)
        {
            random = new Random(from);
            cluster = new RandomCluster(random);
            seed = (ulong)from;
            index = new PlacementIndex(seed);
            // Some clusters are larger than the sets that are kept as lists.
            for (int i = 0, count = random.Next(4) == 0 ? 150 : random.Next(0, 25); i < count; i++)
            {
                Update(cluster.Node($"node-{i}"));
            }
        }

        public void Step()
        {
            switch (random.Next(10))
            {
                case 0 when nodes.Count > 0:
                    string name = cluster.Pick(nodes.Keys.ToList());
                    NodeSnapshot changed = cluster.Change(nodes[name]);
                    // Capacity may shrink below what is there; gone devices would only confuse the count below.
                    Update(runs.Keys.Any(run => run.Node == name)
                        ? changed with { Capacity = nodes[name].Capacity, Gpus = nodes[name].Gpus } : changed);
                    break;
                case 1 when nodes.Count > 0 && random.Next(4) == 0:
                    Remove(cluster.Pick(nodes.Keys.ToList()));
                    break;
                case 2:
                    Update(cluster.Node($"node-{random.Next(200)}x{random.Next(1000)}"));
                    break;
                case 3 or 4 when runs.Count > 0:
                    (string node, string id) = cluster.Pick(runs.Keys.ToList());
                    Assert.True(index.Release(node, id));
                    Assert.False(index.Release(node, id));
                    runs.Remove((node, id));
                    break;
                default:
                    Place(cluster.Request());
                    break;
            }
        }

        private void Update(NodeSnapshot node)
        {
            // It reports some of what was placed there, and what it reported once: what it does not know of yet stays.
            foreach ((string Node, string Id) run in runs.Keys.Where(run => run.Node == node.Name))
            {
                if (random.Next(2) == 0)
                {
                    told.Add(run);
                }
            }

            nodes[node.Name] = node;
            index.Update(node with
            {
                Runs = [.. runs.Where(r => r.Key.Node == node.Name && told.Contains(r.Key)).Select(r => r.Value)],
            });
        }

        private void Remove(string name)
        {
            Assert.True(index.Remove(name));
            nodes.Remove(name);
            foreach ((string, string) key in runs.Keys.Where(key => key.Node == name).ToList())
            {
                runs.Remove(key);
            }
        }

        private void Place(PlacementRequest request)
        {
            IReadOnlyList<NodeSnapshot?> before = index.Snapshot();
            ScanPlanner.Answer scan = new ScanPlanner(before, seed).Plan(request);
            PlacementPlan dry = index.Plan(request);

            PlacementPlan plan = index.Place(request);

            Assert.Equal(dry.Explain(), plan.Explain());
            CheckCounts(plan, scan);
            if (plan.Evicted.Count == 0)
            {
                Assert.Equal(scan.Node, plan.Node);
                Assert.Equal(scan.Next, plan.RunnerUp?.Node);
                Assert.Equal(
                    scan.Totals, new[] { plan.Winner, plan.RunnerUp }.OfType<NodeScore>().Select(s => s.Total));
            }

            if (plan.Node is not null)
            {
                CheckEvicted(plan);
                Admit(plan);
            }

            Assert.Equal(
                runs.Select(r => $"{r.Key.Node} {r.Key.Id}").Order(),
                index.Snapshot().Where(n => n is not null).SelectMany(n => n!.Runs.Select(r => $"{n.Name} {r.Id}"))
                    .Order());
        }

        private void CheckCounts(PlacementPlan plan, ScanPlanner.Answer scan)
        {
            Assert.Equal(nodes.Count, plan.Nodes);
            Assert.Equal(plan.Nodes, plan.Fitting + plan.Refusals.Sum(refusal => refusal.Nodes));
            Assert.Equal(scan.Fitting, plan.Fitting);
            Assert.Equal(
                scan.Refused.OrderBy(entry => entry.Key).Select(entry => (entry.Key, entry.Value)),
                plan.Refusals.GroupBy(r => r.Filter).OrderBy(g => g.Key).Select(g => (g.Key, g.Sum(r => r.Nodes))));
            Assert.All(plan.Refusals, refusal => Assert.True(refusal.Nodes > 0));
        }

        // Only batch of lower priority, and none that could have stayed.
        private void CheckEvicted(PlacementPlan plan)
        {
            Assert.All(plan.Evicted, run => Assert.True(run.IsBatch && run.Priority < plan.Request.Priority));
            foreach (PlacedRun spared in plan.Evicted)
            {
                List<PlacedRun> rest =
                [
                    .. runs.Where(r => r.Key.Node == plan.Node).Select(r => r.Value)
                        .Where(run => run.Id == spared.Id || plan.Evicted.All(e => e.Id != run.Id)),
                ];
                NodeSnapshot[] alone = [nodes[plan.Node!] with { Runs = rest }];
                PlacementRequest bare = plan.Request with { Affinities = [], Spread = null };
                Assert.Equal(0, new ScanPlanner(alone, seed).Plan(bare).Fitting);
            }
        }

        private void Admit(PlacementPlan plan)
        {
            foreach (PlacedRun evicted in plan.Evicted)
            {
                Assert.True(runs.Remove((plan.Node!, evicted.Id)));
            }

            runs.Add((plan.Node!, plan.Request.Id), PlacedRun.Of(plan.Request, plan.Gpus));
            NodeSnapshot node = nodes[plan.Node!];
            PlacedRun[] there = [.. runs.Where(r => r.Key.Node == node.Name).Select(r => r.Value)];
            Assert.Equal(NodeAvailability.Ready, node.State);
            Assert.DoesNotContain(
                node.Taints, taint => !taint.IsSoft && !plan.Request.Tolerations.Any(t => t.Bears(taint)));
            Assert.True(there.Count(r => r.TakesPlace) <= (node.Places ?? int.MaxValue)
                || !plan.Request.TakesPlace, "places");
            Assert.True(there.Sum(r => r.Resources.Millicores) <= node.Capacity.Millicores
                || plan.Request.Resources.Millicores == 0, "CPU");
            Assert.True(there.Sum(r => r.Resources.Memory.Bytes) <= node.Capacity.Memory.Bytes
                || plan.Request.Resources.Memory.Bytes == 0, "memory");
            Assert.True(there.Sum(r => r.Resources.Disk.Bytes) <= node.Capacity.Disk.Bytes
                || plan.Request.Resources.Disk.Bytes == 0, "disk");
            string[] gpus = [.. there.SelectMany(r => r.Gpus)];
            Assert.Equal(gpus.Distinct(), gpus);
            Assert.Equal(plan.Request.Gpus?.Count ?? 0, plan.Gpus.Count);
        }
    }
}
