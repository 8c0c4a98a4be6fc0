using Berth.Core.Placement;
using Berth.Core.Resources;

namespace Berth.Testing.Placement;

/// <summary>Nodes and requests of every kind, from a seed: few words each, so that they meet and collide.</summary>
public sealed class RandomCluster(Random random)
{
    private static readonly string[] Zones = ["eu", "us", "ap"];
    private static readonly string[] Groups = ["resize", "train", "store"];
    private static readonly string[] Models = ["a100", "h100"];
    private static readonly string[] Digests = ["sha256:1", "sha256:2", "sha256:3"];
    private static readonly string[] Constraints =
    [
        "zone=eu", "zone!=us", "zone in (eu,ap)", "zone notin (ap)", "ssd", "!ssd", "arch=amd64", "cpu.feature=avx2",
        "gpu.model in (a100,h100)", "gpu.model=a100", "node!=node-3", "rack in (r1,r2,r3,r4)",
    ];

    private int made;

    public NodeSnapshot Node(string name) =>
        new(name, new NodeResources(random.Next(1, 9) * 1000L, ByteSize.MiB(random.Next(1, 9) * 512),
            ByteSize.GiB(random.Next(1, 5))))
        {
            State = Chance(5) ? (NodeAvailability)random.Next(1, 5) : NodeAvailability.Ready,
            Architecture = Chance(4) ? "arm64" : "amd64",
            Places = Chance(4) ? random.Next(0, 6) : null,
            Gpus = Chance(3)
                ? [.. Enumerable.Range(0, random.Next(1, 4)).Select(i => new GpuDevice(
                    $"gpu{i}", Pick(Models), ByteSize.GiB(40 * random.Next(1, 3))))]
                : [],
            Features = Chance(2) ? new HashSet<string> { "avx2", "sse4_2" } : new HashSet<string> { "sse4_2" },
            Labels = Labels(),
            Taints = Taints(),
            Images = Digests.Where(_ => Chance(3)).ToHashSet(),
            Volumes = Chance(3) ? new HashSet<string> { "data" } : [],
            HostFolders = Chance(3) ? new HashSet<string> { Chance(2) ? "/srv" : "/srv/data/deep" } : [],
            Networks = Chance(2) ? new HashSet<string> { "blue" } : [],
            Prepared = Groups.Where(_ => Chance(4)).ToDictionary(group => group, _ => random.Next(1, 3)),
            Load = random.Next(0, 5) / 4.0,
        };

    /// <summary>The same node with something changed.</summary>
    public NodeSnapshot Change(NodeSnapshot node)
    {
        NodeSnapshot other = Node(node.Name);
        return random.Next(7) switch
        {
            0 => node with { State = other.State },
            1 => node with { Labels = other.Labels },
            2 => node with { Taints = other.Taints, Images = other.Images, Prepared = other.Prepared },
            3 => node with { Load = other.Load, Features = other.Features, Volumes = other.Volumes },
            4 => node with
            {
                Networks = other.Networks,
                HostFolders = other.HostFolders,
                Architecture = other.Architecture,
                Places = other.Places,
            },
            5 => node with { Load = other.Load },
            _ => other,
        };
    }

    public PlacementRequest Request()
    {
        string group = Pick(Groups);
        return new PlacementRequest(
            $"run-{made++}", Chance(2) ? "ann" : "bob",
            new NodeResources(
                random.Next(0, 5) * 500L, ByteSize.MiB(random.Next(0, 5) * 256), ByteSize.MiB(random.Next(0, 3) * 512)))
        {
            Architecture = Chance(6) ? "arm64" : null,
            Features = Chance(6) ? ["avx2"] : [],
            Constraints = Chance(2)
                ? [.. Enumerable.Range(0, random.Next(1, 3)).Select(_ => Chance(8)
                    ? NodeConstraint.OfHostFolder("/srv/data")
                    : NodeConstraint.Parse(Pick(Constraints)))] : [],
            Tolerations = Chance(2) ? [Toleration.Parse(Chance(2) ? "dedicated" : "dedicated=ml")] : [],
            Gpus = Chance(6) ? new GpuDemand(random.Next(1, 3), ByteSize.GiB(40)) : null,
            Volumes = Chance(8) ? ["data"] : [],
            Network = Chance(8) ? "blue" : null,
            Group = Chance(5) ? null : group,
            Affinities = Chance(3) ? [.. Enumerable.Range(0, random.Next(1, 3)).Select(_ => Rule(group))] : [],
            Spread = Chance(3)
                ? new SpreadRule(Topology(), Chance(2) ? random.Next(1, 3) : null) : null,
            Image = Chance(2) ? Pick(Digests) : null,
            Revision = Chance(2) ? group : null,
            Priority = random.Next(0, 3),
            IsBatch = Chance(2),
            Strategy = Chance(2) ? PlacementStrategy.Pack : PlacementStrategy.Spread,
            TakesPlace = !Chance(6),
            RefusedBy = Chance(6) ? ["node-1", "node-4", "no-such-node"] : [],
        };
    }

    public T Pick<T>(IReadOnlyList<T> of) => of[random.Next(of.Count)];

    /// <summary>Once in so many times.</summary>
    public bool Chance(int of) => random.Next(of) == 0;

    private AffinityRule Rule(string group) => new(
        Chance(2) ? group : Pick(Groups), Topology(), Chance(2), Chance(2) ? random.Next(1, 101) : null);

    private string? Topology() => random.Next(3) switch
    {
        0 => null,
        1 => "zone",
        _ => "rack",
    };

    private Dictionary<string, string> Labels()
    {
        Dictionary<string, string> labels = [];
        if (!Chance(6))
        {
            labels["zone"] = Pick(Zones);
        }

        if (Chance(2))
        {
            labels["rack"] = "r" + random.Next(1, 9);
        }

        if (Chance(3))
        {
            labels["ssd"] = "yes";
        }

        // A node that lies about what it is.
        if (Chance(10))
        {
            labels["arch"] = "amd64";
        }

        return labels;
    }

    private List<Taint> Taints()
    {
        List<Taint> taints = [];
        if (Chance(5))
        {
            taints.Add(Taint.Parse("dedicated=" + (Chance(2) ? "ml" : "web")));
        }

        if (Chance(5))
        {
            taints.Add(Taint.Parse("spot:prefer-not"));
        }

        return taints;
    }
}
