using System.Diagnostics;
using Berth.Benchmarks.Rigs;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Testing.Placement;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Placements in a second of processor time among 10,000 nodes that are half full and stay so: each placement ends an
/// earlier one. Beside it the same requests, decided by asking every node every question. One thread decides; what the
/// garbage collector uses is counted with it.
/// </summary>
internal static class PlannerCase
{
    private const int Nodes = 10_000;
    private const int Functions = 500;
    private const int Zones = 10;
    private const int Standing = 50_000;
    private const double Goal = 50_000;
    private const double RulesGoal = 20_000;

    private static readonly PlacementRequest[] Plain =
        [.. Enumerable.Range(0, Functions).Select(function => Of(function, withRules: false))];

    private static readonly PlacementRequest[] WithRules =
        [.. Enumerable.Range(0, Functions).Select(function => Of(function, withRules: true))];

    public static Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        int count = options.Scaled(200_000);
        return Task.FromResult<IReadOnlyList<Figure>>(
        [
            Measure("placements a second", count, withRules: false, Goal),
            Measure("placements a second with affinity and spread", count, withRules: true, RulesGoal),
        ]);
    }

    private static Figure Measure(string what, int count, bool withRules, double goal)
    {
        PlacementIndex index = Fill(withRules, out Queue<(string Node, string Id)> placed);
        Samples latencies = new();
        // What the compiler needs to see before it does its best is no part of the figure.
        Place(index, placed, Standing, count / 10, withRules, null);
        TimeSpan started = Environment.CpuUsage.TotalTime;
        int refused = Place(index, placed, Standing + count, count, withRules, latencies);
        double rate = count / (Environment.CpuUsage.TotalTime - started).TotalSeconds;
        double scan = MeasureScan(index, withRules);
        return new Figure(
            what, rate, goal, AtMost: false,
            $"{rate / scan:0} × a scan ({scan:0} a second); p50 {latencies.P50 * 1000:0.0} µs, "
            + $"p99 {latencies.P99 * 1000:0.0} µs, {refused} of {count} without a node");
    }

    private static PlacementIndex Fill(bool withRules, out Queue<(string Node, string Id)> placed)
    {
        Random random = new(20_260_101);
        PlacementIndex index = new(seed: 1);
        for (int i = 0; i < Nodes; i++)
        {
            index.Update(Node(i, random));
        }

        placed = new Queue<(string Node, string Id)>();
        Place(index, placed, 0, Standing, withRules, null, keep: true);
        return index;
    }

    private static NodeSnapshot Node(int number, Random random) =>
        new($"node-{number:00000}", new NodeResources(10_000, ByteSize.GiB(40), ByteSize.GiB(400)))
        {
            Architecture = number % 10 == 0 ? "arm64" : "amd64",
            Features = number % 3 == 0
                ? new HashSet<string> { "avx2", "avx512f", "sse4_2" } : new HashSet<string> { "avx2", "sse4_2" },
            Labels = new Dictionary<string, string>
            {
                ["zone"] = $"z{number % Zones}",
                ["rack"] = $"r{number / 40}",
                ["disk"] = number % 2 == 0 ? "ssd" : "hdd",
            },
            Taints = number % 50 == 0 ? [Taint.Parse("dedicated=ml")] : [],
            Gpus = number % 50 == 0 ? [new GpuDevice("0", "a100", ByteSize.GiB(80))] : [],
            Images = Enumerable.Range(0, 20).Select(_ => Image(random.Next(Functions))).ToHashSet(),
            Prepared = Enumerable.Range(0, 4).Select(_ => random.Next(Functions)).Distinct()
                .ToDictionary(function => $"f{function}@1", _ => 2),
            Load = random.Next(100) / 100.0,
        };

    private static int Place(
        PlacementIndex index, Queue<(string Node, string Id)> placed, int from, int count, bool withRules,
        Samples? latencies, bool keep = false)
    {
        int refused = 0;
        for (int i = 0; i < count; i++)
        {
            PlacementRequest request = Request(from + i, withRules);
            long started = Stopwatch.GetTimestamp();
            PlacementPlan plan = index.Place(request);
            latencies?.Add(Stopwatch.GetElapsedTime(started));
            if (plan.Node is null)
            {
                refused++;
                continue;
            }

            placed.Enqueue((plan.Node, request.Id));
            if (!keep)
            {
                (string node, string id) = placed.Dequeue();
                index.Release(node, id);
            }
        }

        return refused;
    }

    private static PlacementRequest Request(int number, bool withRules) =>
        (withRules ? WithRules : Plain)[number * 7 % Functions] with { Id = $"run-{number}" };

    // Every request asks for something of the nodes; every tenth for a good deal.
    private static PlacementRequest Of(int function, bool withRules)
    {
        PlacementRequest request = new(
            "", $"tenant-{function % 40}",
            new NodeResources(function % 4 == 0 ? 2000 : 1000, ByteSize.MiB(256 << (function % 4)), ByteSize.MiB(512)))
        {
            Architecture = "amd64",
            Image = Image(function),
            Revision = $"f{function}@1",
            Group = $"f{function}",
            Constraints = function % 10 == 0
                ? [NodeConstraint.Parse("zone in (z1,z2,z3)"), NodeConstraint.Parse("disk=ssd")] : [],
            Features = function % 10 == 1 ? ["avx512f"] : [],
            Strategy = function % 2 == 0 ? PlacementStrategy.Pack : PlacementStrategy.Spread,
        };
        return !withRules ? request : request with
        {
            Spread = new SpreadRule("zone", function % 5 == 0 ? 5 : null),
            Affinities =
            [
                new AffinityRule($"f{(function + 1) % Functions}", "zone", IsAnti: false, Weight: 50),
                new AffinityRule(
                    $"f{(function + 2) % Functions}", null, IsAnti: true, Weight: function % 2 == 0 ? null : 80),
            ],
        };
    }

    private static double MeasureScan(PlacementIndex index, bool withRules)
    {
        const int count = 20;
        ScanPlanner scan = new(index.Snapshot(), seed: 1);
        TimeSpan started = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < count; i++)
        {
            PlacementRequest request = Request(i, withRules) with { Id = $"scan-{i}" };
            if (scan.Plan(request).Node != index.Plan(request).Node)
            {
                throw new InvalidOperationException($"Index and scan decide {request.Id} otherwise.");
            }
        }

        return count / (Environment.CpuUsage.TotalTime - started).TotalSeconds;
    }

    private static string Image(int function) => $"sha256:{function:x8}";
}
