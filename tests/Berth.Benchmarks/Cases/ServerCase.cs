using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>What the server costs when nothing happens, and what a sandbox that waits costs.</summary>
internal static class ServerCase
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        List<double> starts = [];
        for (int i = 0; i < 4; i++)
        {
            await using BerthRig started = await BerthRig.StartAsync(options);
            starts.Add(started.Startup.TotalMilliseconds);
        }

        await using BerthRig rig = await BerthRig.StartAsync(options);
        await Task.Delay(TimeSpan.FromSeconds(5));
        double idle = rig.Status("VmRSS") / 1048576.0;
        await rig.PushBusyboxAsync();
        double perSandbox = await PerPreparedAsync(rig);
        starts.Sort();
        return
        [
            new("ready after start, seconds", starts[starts.Count / 2] / 1000, 1.5, AtMost: true, ""),
            new("resident memory when idle, MiB", idle, 160, AtMost: true, ""),
            new("memory of a prepared container, MiB", perSandbox, 4, AtMost: true,
                "proportional set of its processes + kernel"),
        ];
    }

    /// <summary>
    /// Proportional set size of the processes of every sandbox plus kernel memory charged to its cgroup, averaged over
    /// the pool that a burst of calls leaves behind.
    /// </summary>
    private static async Task<double> PerPreparedAsync(BerthRig rig)
    {
        byte[] body = new byte[1024];
        await Parallel.ForAsync(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (_, _) =>
            await rig.EchoAsync(body));
        await Task.Delay(TimeSpan.FromSeconds(3));
        double total = 0;
        int count = 0;
        foreach (string group in CgroupFolders())
        {
            string[] processes = File.ReadAllLines(Path.Combine(group, "cgroup.procs"));
            if (processes.Length == 0)
            {
                continue;
            }

            count++;
            total += processes.Sum(ProportionalSetSize);
            string kernel = Path.Combine(group, "memory.kmem.usage_in_bytes");
            total += File.Exists(kernel) ? double.Parse(await File.ReadAllTextAsync(kernel)) : 0;
        }

        return count == 0 ? throw new InvalidOperationException("No prepared sandbox was found.")
            : total / count / 1048576;
    }

    private static IEnumerable<string> CgroupFolders()
    {
        string root = Directory.Exists("/sys/fs/cgroup/memory") ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
        return Directory.GetDirectories(root, "berth*").SelectMany(Directory.GetDirectories);
    }

    private static double ProportionalSetSize(string processId) =>
        File.ReadLines($"/proc/{processId}/smaps_rollup")
            .Where(l => l.StartsWith("Pss:", StringComparison.Ordinal))
            .Sum(l => double.Parse(l.Split(':')[1].Replace("kB", "", StringComparison.Ordinal)) * 1024);
}
