using Berth.Core.Placement;
using Berth.Core.Resources;

namespace Berth.Simulation.Sizes;

/// <param name="Nodes">Each with <paramref name="Cores"/> cores and 4 GiB for each of them.</param>
/// <param name="Calls">In the whole time.</param>
/// <param name="Swing">By what share more than the average comes at the busiest hour, and less at the quietest.</param>
internal sealed record SizeCase(string Name, int Nodes, int Cores, long Calls, TimeSpan Time, double Swing);

/// <param name="Rate">Placements in a second of planning.</param>
/// <param name="Peak">Of the cores, at the busiest moment.</param>
internal sealed record SizeResult(
    SizeCase Case, long Placed, double Rate, double Utilisation, double Peak, WaitTimes Waits, long Delayed);

/// <summary>
/// Calls on many nodes, on a virtual clock: they come by chance, and each takes a core for two to three seconds.
/// Placing is real, by the planner of Core, and takes in the replay the processor time that it really took; one server
/// places for all, call by call. What finds no room waits its turn. Starting a program is not replayed: that is each
/// node's.
/// </summary>
internal sealed class SizeReplay
{
    private const int Functions = 200;

    private readonly SizeCase of;
    private readonly Random random;
    private readonly PlacementIndex index;
    private readonly PlacementRequest[] functions;
    private readonly PriorityQueue<(string Node, string Id), double> ends = new();
    private readonly Queue<(double Came, PlacementRequest Request)> waiting = new();
    private readonly WaitTimes waits = new();
    private double now;
    private double plannerFree;
    private double planned;
    private double busyCoreSeconds;
    private long placed;
    private long delayed;
    private int busy;
    private int mostBusy;

    public SizeReplay(SizeCase of, int seed)
    {
        this.of = of;
        random = new Random(seed);
        index = new PlacementIndex((ulong)seed);
        for (int i = 0; i < of.Nodes; i++)
        {
            index.Update(new NodeSnapshot(
                $"node-{i:00000}",
                new NodeResources(of.Cores * 1000L, ByteSize.GiB(of.Cores * 4L), ByteSize.GiB(of.Cores * 10L)))
            {
                Labels = new Dictionary<string, string> { ["zone"] = $"z{i % 5}" },
                Images = Enumerable.Range(0, Functions / 10).Select(_ => Image(random.Next(Functions))).ToHashSet(),
            });
        }

        functions = [.. Enumerable.Range(0, Functions).Select(function => new PlacementRequest(
            "", $"tenant-{function % 20}", new NodeResources(1000, ByteSize.MiB(256), ByteSize.MiB(512)))
        {
            Image = Image(function),
            Constraints = function % 10 == 0 ? [NodeConstraint.Parse("zone!=z4")] : [],
        })];
    }

    public SizeResult Run()
    {
        WarmUp();
        double next = Arrival(0);
        for (long come = 0; come < of.Calls || ends.Count > 0;)
        {
            if (come < of.Calls && (!ends.TryPeek(out _, out double end) || next <= end))
            {
                Advance(next);
                waiting.Enqueue((now, functions[random.Next(Functions)] with { Id = $"call-{come++}" }));
                next = Arrival(next);
                if (waiting.Count > 1)
                {
                    // Since those before it found no room nothing has ended.
                    continue;
                }
            }
            else
            {
                ends.TryDequeue(out (string Node, string Id) ended, out end);
                Advance(end);
                busy--;
                if (!index.Release(ended.Node, ended.Id))
                {
                    throw new InvalidOperationException($"{ended.Id} was not on {ended.Node}.");
                }
            }

            PlaceWaiting();
        }

        return new SizeResult(
            of, placed, placed / planned, busyCoreSeconds / (now * of.Nodes * of.Cores),
            mostBusy / (double)(of.Nodes * of.Cores), waits, delayed);
    }

    // What the compiler needs to see before it does its best is no part of any waiting.
    private void WarmUp()
    {
        for (int i = 0; i < 20_000; i++)
        {
            PlacementPlan plan = index.Place(functions[i % Functions] with { Id = $"warm-{i}" });
            index.Release(plan.Node!, plan.Request.Id);
        }
    }

    private void PlaceWaiting()
    {
        while (waiting.TryPeek(out (double Came, PlacementRequest Request) first))
        {
            TimeSpan started = Environment.CpuUsage.TotalTime;
            PlacementPlan plan = index.Place(first.Request);
            double took = (Environment.CpuUsage.TotalTime - started).TotalSeconds;
            planned += took;
            // The planner is one: it begins when it is done with those before.
            plannerFree = Math.Max(plannerFree, now) + took;
            if (plan.Node is null)
            {
                delayed++;
                return;
            }

            waiting.Dequeue();
            waits.Add(plannerFree - first.Came);
            ends.Enqueue((plan.Node, first.Request.Id), plannerFree + 2 + random.NextDouble());
            placed++;
            mostBusy = Math.Max(mostBusy, ++busy);
        }
    }

    private void Advance(double to)
    {
        busyCoreSeconds += (to - now) * busy;
        now = to;
    }

    // By thinning: as often as at the busiest hour, and of those as many as the hour has.
    private double Arrival(double after)
    {
        double average = of.Calls / of.Time.TotalSeconds;
        double most = average * (1 + of.Swing);
        double at = after;
        while (true)
        {
            at += -Math.Log(1 - random.NextDouble()) / most;
            double rate = average * (1 - (of.Swing * Math.Cos(2 * Math.PI * at / of.Time.TotalSeconds)));
            if (random.NextDouble() * most < rate)
            {
                return at;
            }
        }
    }

    private static string Image(int function) => $"sha256:{function:x8}";
}

/// <summary>Times in steps of a twentieth of themselves: as many as there may be take the same room.</summary>
internal sealed class WaitTimes
{
    private const double Least = 1e-7;
    private const double Step = 1.05;

    private readonly long[] counts = new long[600];
    private long total;

    public void Add(double seconds)
    {
        int bucket = seconds <= Least ? 0 : (int)(Math.Log(seconds / Least) / Math.Log(Step));
        counts[Math.Min(bucket, counts.Length - 1)]++;
        total++;
    }

    /// <summary>Seconds; the upper end of the step.</summary>
    public double At(double quantile)
    {
        long left = (long)Math.Ceiling(total * quantile);
        for (int i = 0; i < counts.Length; i++)
        {
            left -= counts[i];
            if (left <= 0)
            {
                return Least * Math.Pow(Step, i + 1);
            }
        }

        return double.PositiveInfinity;
    }
}
