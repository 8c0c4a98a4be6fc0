using System.Diagnostics;
using Berth.Benchmarks.Rigs;
using Berth.Testing.Store;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Durable tasks that do nothing, accepted and worked off by two servers with one PostgreSQL: from the first submission
/// until the last has ended, each on disk before its 202.
/// </summary>
internal static class DurableCase
{
    private const int Callers = 64;
    private const int Rounds = 3;

    /// <summary>Until the servers' code is compiled as it stays.</summary>
    private const int WarmRounds = 3;
    private const string Path = "/v1/functions/noop/";

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using PostgresCluster cluster = await PostgresCluster.StartAsync(
            // What any machine would have; tests are content with less.
            "shared_buffers=256MB");
        List<double> rates = [];
        int count = options.Scaled(10_000);
        string address = await cluster.NewDatabaseAsync();
        string[] flags = ["--store", address, "--max-running", $"{Callers}"];
        await using BerthRig one = await BerthRig.StartAsync(options, [.. flags, "--node-name", "one"]);
        await using BerthRig two = await BerthRig.StartAsync(options, one, [.. flags, "--node-name", "two"]);
        await ServiceCase.PushAsync(one, options, "echo");
        await ServiceCase.PushAsync(two, options, "echo");
        await one.CliAsync(
            "function", "deploy", "--contract", "http", "--concurrency", "100", "--min-instances", "1", "noop",
            "bench/echo:1");
        BerthRig[] servers = [one, two];
        await two.KnowsAsync("noop");
        for (int round = 0; round < WarmRounds + Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            await Parallel.ForEachAsync(
                Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Callers },
                async (i, _) => await servers[i % 2].SubmitAsync(Path));
            while (await one.TasksLeftAsync() + await two.TasksLeftAsync() > 0)
            {
                await Task.Delay(50);
            }

            if (round >= WarmRounds)
            {
                rates.Add(count / Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        rates.Sort();
        return
        [
            new(
                "durable no-op tasks a second through PostgreSQL with two servers, end to end", rates[Rounds / 2], 1500,
                AtMost: false, string.Join(", ", rates.Select(r => $"{r:0}"))),
        ];
    }
}
