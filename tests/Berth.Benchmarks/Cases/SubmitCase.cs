using System.Diagnostics;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Submissions that are on disk before their 202, beside Kestrel's bare echo under the same load generator. A task that
/// sleeps holds the node's only place meanwhile, so that the figure is of accepting alone.
/// </summary>
internal static class SubmitCase
{
    private const int Seconds = 10;
    private const int Callers = 32;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        Directory.CreateDirectory(options.Work);
        string script = Path.Combine(options.Work, "post.lua");
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--max-running", "1", "--queue-limit", "10000000", "--shutdown-grace", "0s");
        await rig.PushBusyboxAsync();
        await rig.CliAsync("task", "submit", "--timeout", "1h", "bench/busybox:1", "sleep", "3600");
        await File.WriteAllTextAsync(script, $"""
            wrk.method = "POST"
            wrk.body = string.rep("x", 1024)
            wrk.headers["Content-Type"] = "application/octet-stream"
            wrk.headers["Authorization"] = "Bearer {rig.Token}"
            """);
        int echoPort = BerthRig.FreePort();
        using Process echo = Command.Start(
            Environment.ProcessPath!, [typeof(SubmitCase).Assembly.Location, "echo-server", $"{echoPort}"]);
        string bare = $"http://127.0.0.1:{echoPort}/";
        string tasks = $"http://127.0.0.1:{rig.Port}/v1/tasks/bench/busybox:1";
        List<double> ratios = [];
        List<string> details = [];
        try
        {
            await Wrk.ListeningAsync(echoPort);
            await Wrk.RunAsync(script, bare, Callers, 3);
            await Wrk.RunAsync(script, tasks, Callers, 3);
            for (int round = 0; round < 3; round++)
            {
                double reference = (await Wrk.RunAsync(script, bare, Callers, Seconds)).Rate;
                double ours = (await Wrk.RunAsync(script, tasks, Callers, Seconds)).Rate;
                ratios.Add(ours / reference);
                details.Add($"{ours:0}/{reference:0}");
            }
        }
        finally
        {
            echo.Kill();
        }

        ratios.Sort();
        return [new("submissions a second / Kestrel echo", ratios[1], 0.15, AtMost: false, string.Join(", ", details))];
    }
}
