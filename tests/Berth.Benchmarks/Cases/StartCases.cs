using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>How long a fresh container takes, beside plain <c>runc run</c> of an equal bundle in turns.</summary>
internal static class StartCases
{
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> ReadyAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(rig, "cat");
        Samples ours = new();
        Samples reference = new();
        for (int block = 0; block < 5; block++)
        {
            await RepeatAsync(20, async () => reference.Add(await bundle.RunAsync(Body)));
            await OpenRateAsync(TimeSpan.FromMilliseconds(100), 50, async () => ours.Add(await rig.EchoAsync(Body)),
                skip: 5);
        }

        return
        [
            new("p50 / runc run", ours.P50 / reference.P50, 0.20, AtMost: true, $"ours {ours}; runc {reference}"),
            new("p99 / runc run p50", ours.P99 / reference.P50, 0.50, AtMost: true, "at 10 a second"),
        ];
    }

    public static async Task<IReadOnlyList<Figure>> ColdAsync(BenchOptions options)
    {
        await using BerthRig warm = await BerthRig.StartAsync(options);
        await warm.PushBusyboxAsync();
        await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(warm, "cat");
        await using BerthRig rig = await BerthRig.StartAsync(options, "--pool-memory", "0");
        await rig.PushBusyboxAsync();
        await using DockerEngine? docker = await DockerEngine.StartAsync(options);
        await (docker?.ImportAsync(Path.Combine(bundle.Path, "rootfs")) ?? Task.CompletedTask);
        Samples ours = new();
        Samples reference = new();
        Samples dockers = new();
        for (int i = 0; i < 100; i++)
        {
            reference.Add(await bundle.RunAsync(Body));
            ours.Add(await rig.EchoAsync(Body));
            if (docker is not null && i % 5 == 0)
            {
                dockers.Add(await docker.RunAsync(Path.Combine(bundle.Path, "input")));
            }
        }

        List<Figure> figures =
            [new("p50 / runc run", ours.P50 / reference.P50, 1.3, AtMost: true, $"ours {ours}; runc {reference}")];
        if (docker is not null)
        {
            figures.Add(new("p50 / docker run --network none", ours.P50 / dockers.P50, 0.125, AtMost: true,
                $"docker {dockers}"));
        }

        return figures;
    }

    public static async Task<IReadOnlyList<Figure>> RateAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        int lanes = 2 * Environment.ProcessorCount;
        List<ReferenceBundle> bundles = [];
        for (int lane = 0; lane < lanes; lane++)
        {
            bundles.Add(await ReferenceBundle.CreateAsync(rig, "cat"));
        }

        double best = 0;
        double ours = 0;
        string detail = "";
        for (int round = 0; round < 2; round++)
        {
            for (int parallel = 1; parallel <= lanes; parallel++)
            {
                double rate = await RateAsync(parallel, TimeSpan.FromSeconds(5), lane => bundles[lane].RunAsync(Body));
                detail += $" runc×{parallel} {rate:0.0}";
                best = Math.Max(best, rate);
            }

            foreach (int callers in (int[])[2, 4, 8])
            {
                double rate = await RateAsync(callers, TimeSpan.FromSeconds(8), _ => rig.EchoAsync(Body));
                detail += $" berth×{callers} {rate:0.0}";
                ours = Math.Max(ours, rate);
            }
        }

        foreach (ReferenceBundle bundle in bundles)
        {
            await bundle.DisposeAsync();
        }

        return [new("containers a second / best runc run loop", ours / best, 1.0, AtMost: false, detail.Trim())];
    }

    private static async Task RepeatAsync(int count, Func<Task> act)
    {
        for (int i = 0; i < count; i++)
        {
            await act();
        }
    }

    /// <summary>Starts one call at each tick whether or not the one before has ended.</summary>
    internal static async Task OpenRateAsync(TimeSpan interval, int count, Func<Task> act, int skip)
    {
        List<Task> calls = [];
        using PeriodicTimer timer = new(interval);
        for (int i = 0; i < count + skip; i++)
        {
            await timer.WaitForNextTickAsync();
            calls.Add(act());
        }

        await Task.WhenAll(calls);
    }

    internal static async Task<double> RateAsync(int parallel, TimeSpan duration, Func<int, Task<TimeSpan>> act)
    {
        long start = TimeProvider.System.GetTimestamp();
        int done = 0;
        await Task.WhenAll(Enumerable.Range(0, parallel).Select(async lane =>
        {
            while (TimeProvider.System.GetElapsedTime(start) < duration)
            {
                await act(lane);
                Interlocked.Increment(ref done);
            }
        }));
        return done / TimeProvider.System.GetElapsedTime(start).TotalSeconds;
    }
}
