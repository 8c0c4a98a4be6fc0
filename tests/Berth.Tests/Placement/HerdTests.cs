using Berth.Core.Nodes;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Placement;

/// <summary>Several servers that plan at the same time, each with what it has heard, and nodes that judge for
/// themselves.</summary>
public sealed class HerdTests
{
    private const int Places = 4;

    private static readonly ByteSize Memory = ByteSize.GiB(4);

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 200)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_herd_fills_the_nodes_exceeds_none_and_ends(int seed)
    {
        Cluster cluster = new(new Random(seed));

        cluster.Play();

        foreach (PlayedNode node in cluster.Nodes)
        {
            Assert.InRange(node.Admission.Taken, 0, Places);
            Assert.InRange(node.Admission.Promised.Bytes, 0, Memory.Bytes);
        }

        Assert.All(cluster.Left, start => Assert.All(
            cluster.Nodes, node => Assert.NotNull(node.Admission.Refusal(start.Demand))));
        // At most one try for each node: what refused it once is not asked again.
        Assert.InRange(cluster.MostTries, 1, cluster.Nodes.Count);
    }

    [Fact]
    public void Seeds_show_refusals_and_herds_that_are_too_large()
    {
        Cluster[] clusters = [.. Enumerable.Range(1, 50).Select(seed => new Cluster(new Random(seed)))];
        foreach (Cluster cluster in clusters)
        {
            cluster.Play();
        }

        Assert.Contains(clusters, c => c.MostTries > 1);
        Assert.Contains(clusters, c => c.Left.Count > 0);
        Assert.Contains(clusters, c => c.Left.Count == 0);
    }

    private sealed class PlayedNode(string name, int servers)
    {
        public string Name => name;

        public NodeAdmission Admission { get; } = new(Places, Memory);

        /// <summary>What each server has here.</summary>
        public NodeAdmission[] Of { get; } =
            [.. Enumerable.Range(0, servers).Select(_ => new NodeAdmission(int.MaxValue, Memory))];

        /// <summary>As a heartbeat tells it to one of the servers.</summary>
        public NodeSnapshot Tell(int server)
        {
            long others = Admission.Promised.Bytes - Of[server].Promised.Bytes;
            return new NodeSnapshot(name, new NodeResources(0, Memory, default))
            {
                Places = Places - (Admission.Taken - Of[server].Taken),
                Runs = others == 0
                    ? []
                    :
                    [
                        new PlacedRun(
                            $"others {others}", "", new NodeResources(0, ByteSize.FromBytes(others), default), 0, false,
                            null, [], TakesPlace: false),
                    ],
            };
        }
    }

    private sealed record Start(int Server, PlacementRequest Request)
    {
        public AdmissionDemand Demand => new(Request.TakesPlace, Request.Resources.Memory);
    }

    private sealed class Cluster
    {
        private readonly Random random;
        private readonly PlacementIndex[] servers;
        private readonly List<Start> waiting;

        public Cluster(Random random)
        {
            this.random = random;
            servers = [.. Enumerable.Range(0, 3).Select(i => new PlacementIndex((ulong)i))];
            Nodes = [.. Enumerable.Range(0, random.Next(2, 7)).Select(i => new PlayedNode($"n{i}", servers.Length))];
            waiting =
            [
                .. Enumerable.Range(0, random.Next(4, 50)).Select(i => new Start(
                    random.Next(servers.Length),
                    new PlacementRequest(
                        $"r{i}", "tenant", new NodeResources(0, ByteSize.MiB(256 * random.Next(1, 6)), default))
                    {
                        TakesPlace = random.Next(6) != 0,
                        Strategy = random.Next(2) == 0 ? PlacementStrategy.Pack : PlacementStrategy.Spread,
                    })),
            ];
            for (int i = 0; i < servers.Length; i++)
            {
                foreach (PlayedNode node in Nodes)
                {
                    servers[i].Update(node.Tell(i));
                }
            }
        }

        public IReadOnlyList<PlayedNode> Nodes { get; }

        public List<Start> Left { get; } = [];

        public int MostTries { get; private set; }

        public void Play()
        {
            while (waiting.Count > 0)
            {
                if (random.Next(3) == 0)
                {
                    int server = random.Next(servers.Length);
                    servers[server].Update(Nodes[random.Next(Nodes.Count)].Tell(server));
                }

                Start start = waiting[random.Next(waiting.Count)];
                waiting.Remove(start);
                Try(start);
            }
        }

        private void Try(Start start)
        {
            PlacementIndex index = servers[start.Server];
            PlacementPlan plan = index.Place(start.Request);
            if (plan.Node is not { } name)
            {
                Left.Add(start);
                return;
            }

            MostTries = Math.Max(MostTries, start.Request.RefusedBy.Count + 1);
            PlayedNode node = Nodes.Single(n => n.Name == name);
            if (node.Admission.Refusal(start.Demand) is null)
            {
                node.Admission.Take(start.Demand);
                node.Of[start.Server].Take(start.Demand);
                return;
            }

            index.Release(name, start.Request.Id);
            waiting.Add(start with { Request = start.Request with { RefusedBy = [.. start.Request.RefusedBy, name] } });
        }
    }
}
