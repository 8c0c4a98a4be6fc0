using System.Diagnostics;
using System.Globalization;

namespace Berth.Benchmarks.Rigs;

/// <summary>What a queue of tasks does on this machine with two workers of one process each.</summary>
/// <param name="Rate">No-op tasks a second, results returned.</param>
/// <param name="TripMicros">The middle time of one alone, from its submission to its result.</param>
internal sealed record QueueSpeed(double Rate, double TripMicros);

/// <summary>Celery, Dask and gearmand as they are installed, each started for one measurement and ended after
/// it.</summary>
internal static class TaskQueues
{
    private const string Folder = "tests/Berth.Benchmarks/Peers";

    // Debian's, which has the packages; another python3 may come first in the path.
    private const string Python = "/usr/bin/python3";

    public static async Task<QueueSpeed> CeleryAsync(BenchOptions options, int count, int trips)
    {
        int port = BerthRig.FreePort();
        await using Peer redis = new(
            [], "redis-server", "--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
            options.Work);
        await Wrk.ListeningAsync(port);
        string[] environment = [$"REDIS_PORT={port}", $"PYTHONPATH={Folder}", "PYTHONDONTWRITEBYTECODE=1"];
        await using Peer one = Worker("one");
        await using Peer two = Worker("two");
        return Parse(await Command.RunAsync(
            "env", [.. environment, Python, $"{Folder}/celery_noop.py", $"{count}", $"{trips}"]));

        Peer Worker(string name) => new(
            environment, Python, "-m", "celery", "-A", "celery_noop", "worker", "-c", "1", "-n", $"{name}@%h",
            "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "error");
    }

    public static async Task<QueueSpeed> DaskAsync(int count, int trips) => Parse(await Command.RunAsync(
        "env", "PYTHONDONTWRITEBYTECODE=1", Python, $"{Folder}/dask_noop.py", $"{count}", $"{trips}"));

    public static async Task<QueueSpeed> GearmanAsync(BenchOptions options, int count, int trips)
    {
        string program = Path.Combine(options.Work, "gearman_noop");
        await Command.RunAsync("gcc", "-O2", "-w", $"{Folder}/gearman_noop.c", "-lgearman", "-o", program);
        int port = BerthRig.FreePort();
        await using Peer server = new(
            [], "gearmand", "-p", $"{port}", "-L", "127.0.0.1", "-l", Path.Combine(options.Work, "gearmand.log"));
        await Wrk.ListeningAsync(port);
        await using Peer one = new([], program, "worker", $"{port}");
        await using Peer two = new([], program, "worker", $"{port}");
        return Parse(await Command.RunAsync(program, "client", $"{port}", $"{count}", $"{trips}"));
    }

    private static QueueSpeed Parse(string output)
    {
        double[] figures =
        [
            .. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1].Split(' ')
                .Select(text => double.Parse(text, CultureInfo.InvariantCulture)),
        ];
        return new QueueSpeed(figures[0], figures[1]);
    }

    /// <summary>A process that is told to end when disposed.</summary>
    private sealed class Peer : IAsyncDisposable
    {
        private readonly Process process;

        public Peer(IEnumerable<string> environment, string file, params IEnumerable<string> arguments)
        {
            process = Command.Start("env", [.. environment, file, .. arguments]);
            _ = process.StandardOutput.ReadToEndAsync();
            _ = process.StandardError.ReadToEndAsync();
        }

        public async ValueTask DisposeAsync()
        {
            using (Process.Start("kill", ["-TERM", $"{process.Id}"]))
            {
            }

            await process.WaitForExitAsync();
            process.Dispose();
        }
    }
}
