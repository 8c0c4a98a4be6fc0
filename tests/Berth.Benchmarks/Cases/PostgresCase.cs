using System.Diagnostics;
using Berth.Benchmarks.Rigs;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// The store that several servers share, without HTTP: two of them on one PostgreSQL that syncs what it commits.
/// Submissions that each await their commit; then whole lives, each a submission, a claim, a start and an end.
/// </summary>
internal static class PostgresCase
{
    private const int InputBytes = 1024;

    /// <summary>Of each server.</summary>
    private const int Callers = 128;

    private static readonly RunSpec Spec = RunSpec.For("bench/busybox:1", Digest.Sha256("bench"u8), RunKind.Task);

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using PostgresCluster cluster = await PostgresCluster.StartAsync();
        List<double> submissions = [];
        List<double> lives = [];
        for (int round = 0; round < 3; round++)
        {
            string address = await cluster.NewDatabaseAsync();
            await using PostgresStore one = await OpenAsync(address, "one");
            await using PostgresStore two = await OpenAsync(address, "two");
            PostgresStore[] stores = [one, two];
            await MeasureAsync(stores, Callers, TimeSpan.FromSeconds(1), AcceptAsync);
            submissions.Add(await MeasureAsync(stores, Callers, TimeSpan.FromSeconds(4), AcceptAsync));
            string fresh = await cluster.NewDatabaseAsync();
            await using PostgresStore three = await OpenAsync(fresh, "one");
            await using PostgresStore four = await OpenAsync(fresh, "two");
            stores = [three, four];
            await MeasureAsync(stores, Callers, TimeSpan.FromSeconds(1), LiveAsync);
            lives.Add(await MeasureAsync(stores, Callers, TimeSpan.FromSeconds(4), LiveAsync));
        }

        return
        [
            FigureOf("runs accepted a second through PostgreSQL by two servers", submissions, 4000),
            FigureOf("runs accepted, claimed, started and ended a second through it", lives, 1500),
        ];
    }

    private static Figure FigureOf(string name, List<double> rounds, double goal)
    {
        rounds.Sort();
        return new Figure(
            name, rounds[rounds.Count / 2], goal, AtMost: false, string.Join(", ", rounds.Select(r => $"{r:0}")));
    }

    private static Task<PostgresStore> OpenAsync(string address, string server) => PostgresStore.OpenAsync(
        PostgresCluster.Parse(address), server, TimeProvider.System, NullLogger<PostgresStore>.Instance,
        CancellationToken.None);

    private static async Task<int> AcceptAsync(PostgresStore store)
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        Run run = Run.Accepted(
            RunId.New(now), RunKind.Task, Spec, "bench", new RunMoment(now, now),
            new StoredBody(BodyPlace.Inline, InputBytes));
        await store.AcceptAsync(new NewRun(run, new byte[InputBytes], null, default), CancellationToken.None);
        return 1;
    }

    /// <summary>One in, and whatever is claimed then to its end: claims come in groups, as a dispatcher makes them.
    /// </summary>
    private static async Task<int> LiveAsync(PostgresStore store)
    {
        await AcceptAsync(store);
        IReadOnlyList<ClaimedRun> claimed = await store.ClaimAsync(new ClaimOrder(
            4, TimeProvider.System.GetUtcNow().AddSeconds(1)), CancellationToken.None);
        await Task.WhenAll(claimed.Select(run => EndAsync(store, run.Run)));
        return claimed.Count;
    }

    private static async Task EndAsync(PostgresStore store, Run claimed)
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        RunChange start = RunSteps.Start(claimed, "bench", RunTimings.None, now, []);
        await store.SaveAsync(start, CancellationToken.None);
        RunEnd end = new(EndReason.Completed, 0, null, null, RunUsage.None);
        RunChange change = RunSteps.End(
            start.Next, end, new RunMoment(now, now), 0.5, TimeSpan.FromHours(24), []);
        await store.SaveAsync(
            change with
            {
                Next = change.Next with { Result = new StoredBody(BodyPlace.Inline, 16) },
                InlineResult = new byte[16],
            },
            CancellationToken.None);
    }

    private static async Task<double> MeasureAsync(
        PostgresStore[] stores, int callers, TimeSpan duration, Func<PostgresStore, Task<int>> step)
    {
        long started = Stopwatch.GetTimestamp();
        int[] counts = await Task.WhenAll(Enumerable.Range(0, stores.Length * callers).Select(i => Task.Run(async () =>
        {
            int count = 0;
            while (Stopwatch.GetElapsedTime(started) < duration)
            {
                count += await step(stores[i % stores.Length]);
            }

            return count;
        })));
        return counts.Sum() / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }
}
