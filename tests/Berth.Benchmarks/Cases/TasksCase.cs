using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Tasks that do nothing, beside queues of tasks: over two nodes that have joined a server, results returned, beside
/// Celery, Dask and gearmand with two workers each.
/// </summary>
internal static class TasksCase
{
    private const int Callers = 64;
    private const int Rounds = 3;
    private const int Seconds = 4;
    private const string Path = "/v1/functions/noop/";

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        int port = BerthRig.FreePort();
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--node-listen", $"127.0.0.1:{port}", "--node-name", "control");
        await using JoinedNode one = await JoinedNode.StartAsync(rig, options, port, "one");
        await using JoinedNode two = await JoinedNode.StartAsync(rig, options, port, "two");
        await rig.CliAsync("node", "cordon", "control");
        await ServiceCase.PushAsync(rig, options, "echo");
        // One on each node: as the workers of the others, a program that stays and has one task after the other.
        await rig.CliAsync(
            "function", "deploy", "--contract", "http", "--concurrency", $"{Callers}", "--min-instances", "2",
            "--max-instances", "2", "noop", "bench/echo:1");
        string script = System.IO.Path.Combine(options.Work, "noop.lua");
        await File.WriteAllTextAsync(script, $"""
            wrk.method = "POST"
            wrk.body = "-"
            wrk.headers["Authorization"] = "Bearer {rig.Token}"
            """);
        string url = $"http://127.0.0.1:{rig.Port}{Path}";
        await Wrk.RunAsync(script, url, Callers, Seconds);
        List<(double Celery, double Dask, double Gearman, double Trip)> ratios = [];
        List<string> details = [];
        for (int round = 0; round < Rounds; round++)
        {
            QueueSpeed celery = await TaskQueues.CeleryAsync(options, options.Scaled(3000), 200);
            QueueSpeed dask = await TaskQueues.DaskAsync(options.Scaled(3000), 100);
            QueueSpeed gearman = await TaskQueues.GearmanAsync(options, options.Scaled(50_000), 500);
            double rate = (await Wrk.RunAsync(script, url, Callers, Seconds)).Rate;
            double trip = (await Wrk.RunAsync(script, url, 1, Seconds)).P50;
            ratios.Add((rate / celery.Rate, rate / dask.Rate, rate / gearman.Rate, trip / celery.TripMicros));
            details.Add(
                $"{rate:0} / Celery {celery.Rate:0} / Dask {dask.Rate:0} / gearmand {gearman.Rate:0} a second, "
                + $"{trip:0} / {celery.TripMicros:0} / {dask.TripMicros:0} / {gearman.TripMicros:0} µs");
        }

        return
        [
            new(
                "no-op tasks a second over two nodes, results returned / Celery", Middle(r => r.Celery), 10,
                AtMost: false, string.Join("; ", details)),
            new("the same / Dask", Middle(r => r.Dask), 12, AtMost: false, ""),
            new("the same / gearmand", Middle(r => r.Gearman), 0.6, AtMost: false, ""),
            new("one through a node's hop, p50 / Celery's round trip", Middle(r => r.Trip), 0.4, AtMost: true, ""),
        ];

        double Middle(Func<(double Celery, double Dask, double Gearman, double Trip), double> figure) =>
            ratios.Select(figure).Order().ElementAt(Rounds / 2);
    }
}
