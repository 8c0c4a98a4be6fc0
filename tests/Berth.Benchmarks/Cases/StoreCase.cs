using System.Diagnostics;
using Berth.Benchmarks.Rigs;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Content;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// The store without HTTP: callers that each await the commit of their run before the next, beside the same number of
/// bare synced appends to a file by one writer (the floor that a store without group commit has).
/// </summary>
internal static class StoreCase
{
    private const int InputBytes = 1024;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        string folder = Path.Combine(options.Work, "store");
        Directory.CreateDirectory(folder);
        List<Figure> figures = [];
        foreach ((int callers, double goal) in new[] { (32, 5.0), (256, 8.0) })
        {
            List<(double Ratio, string Detail)> rounds = [];
            for (int round = 0; round < 3; round++)
            {
                double appends = MeasureAppends(folder);
                double rows = await MeasureStoreAsync(folder, callers);
                rounds.Add((rows / appends, $"{rows:0}/{appends:0}"));
            }

            rounds.Sort();
            figures.Add(new(
                $"runs accepted a second by {callers} callers / synced appends", rounds[1].Ratio, goal, AtMost: false,
                string.Join(", ", rounds.Select(entry => entry.Detail))));
        }

        return figures;
    }

    private static double MeasureAppends(string folder)
    {
        string path = Path.Combine(folder, "appends");
        byte[] record = new byte[InputBytes + 512];
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        long started = Stopwatch.GetTimestamp();
        int count = 0;
        while (Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(1))
        {
            file.Write(record);
            DurableFile.SyncData(file.SafeFileHandle, path);
            count++;
        }

        double rate = count / Stopwatch.GetElapsedTime(started).TotalSeconds;
        file.Dispose();
        File.Delete(path);
        return rate;
    }

    private static async Task<double> MeasureStoreAsync(string folder, int callers)
    {
        string path = Path.Combine(folder, "bench.db");
        double rate;
        await using (SqliteRunStore store = await SqliteRunStore.OpenAsync(
            path, SqliteRunStore.DefaultBallast, NullLogger<SqliteRunStore>.Instance, CancellationToken.None))
        {
            RunSpec spec = RunSpec.For("bench/busybox:1", Digest.Sha256("bench"u8), RunKind.Task);
            byte[] input = new byte[InputBytes];
            await SubmitAsync(store, spec, input, callers, TimeSpan.FromSeconds(1));
            rate = await SubmitAsync(store, spec, input, callers, TimeSpan.FromSeconds(4));
        }

        foreach (string file in Directory.GetFiles(folder, "bench.*"))
        {
            File.Delete(file);
        }

        return rate;
    }

    private static async Task<double> SubmitAsync(SqliteRunStore store, RunSpec spec, byte[] input, int callers,
        TimeSpan duration)
    {
        long started = Stopwatch.GetTimestamp();
        int[] counts = await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            int count = 0;
            for (; Stopwatch.GetElapsedTime(started) < duration; count++)
            {
                DateTimeOffset now = TimeProvider.System.GetUtcNow();
                Run run = Run.Accepted(
                    RunId.New(now), RunKind.Task, spec, "bench", new RunMoment(now, now),
                    new StoredBody(BodyPlace.Inline, input.Length));
                await store.AcceptAsync(new NewRun(run, input, null, default), CancellationToken.None);
            }

            return count;
        })));
        return counts.Sum() / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }
}
