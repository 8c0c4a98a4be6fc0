using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Durable tasks that start a program which does nothing, each in a container of its own, from the first submission
/// until the last has ended; the same in fresh sandboxes within a function's container; both beside a job of Docker's
/// Swarm mode.
/// </summary>
internal static class JobsCase
{
    private const int Rounds = 5;

    /// <summary>Until the server's code is compiled as it stays.</summary>
    private const int WarmRounds = 3;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using DockerEngine? docker = await DockerEngine.StartAsync(options);
        if (docker is null)
        {
            return [];
        }

        string root = Path.Combine(options.Work, "busybox");
        Directory.CreateDirectory(Path.Combine(root, "bin"));
        File.Copy("/bin/busybox", Path.Combine(root, "bin", "busybox"));
        File.CreateSymbolicLink(Path.Combine(root, "bin", "true"), "busybox");
        await docker.ImportAsync(root);
        await docker.InitSwarmAsync();
        try
        {
            return await MeasureAsync(docker, options);
        }
        finally
        {
            await docker.LeaveSwarmAsync();
        }
    }

    private static async Task<IReadOnlyList<Figure>> MeasureAsync(DockerEngine docker, BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        await rig.CliAsync("function", "deploy", "--isolation", "strict", "own", "bench/busybox:1", "true");
        await rig.CliAsync("function", "deploy", "--isolation", "single-use", "fresh", "bench/busybox:1", "true");
        for (int round = 0; round < WarmRounds; round++)
        {
            await RateAsync(rig, "own", options.Scaled(400));
            await RateAsync(rig, "fresh", options.Scaled(3000));
        }

        int jobs = options.Scaled(60);
        List<(double Own, double Fresh)> ratios = [];
        List<string> details = [];
        for (int round = 0; round < Rounds; round++)
        {
            // As many at once as is best for it: more than a few make it slower.
            double few = jobs / (await docker.RunJobAsync(jobs, 4)).TotalSeconds;
            double more = jobs / (await docker.RunJobAsync(jobs, 8)).TotalSeconds;
            double swarm = Math.Max(few, more);
            double own = await RateAsync(rig, "own", options.Scaled(400));
            double fresh = await RateAsync(rig, "fresh", options.Scaled(3000));
            ratios.Add((own / swarm, fresh / swarm));
            details.Add($"{own:0} and {fresh:0} / {swarm:0.0} a second");
        }

        return
        [
            new(
                "tasks a second in containers of their own / Swarm's job",
                ratios.Select(r => r.Own).Order().ElementAt(Rounds / 2), 6, AtMost: false, string.Join("; ", details)),
            new(
                "in fresh sandboxes within a function's container / Swarm's job",
                ratios.Select(r => r.Fresh).Order().ElementAt(Rounds / 2), 6, AtMost: false, ""),
        ];
    }

    private static async Task<double> RateAsync(BerthRig rig, string function, int count)
    {
        long start = TimeProvider.System.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = 16 },
            async (_, _) => await rig.SubmitAsync($"/v1/functions/{function}"));
        while (await rig.TasksLeftAsync() > 0)
        {
            await Task.Delay(50);
        }

        return count / TimeProvider.System.GetElapsedTime(start).TotalSeconds;
    }
}
