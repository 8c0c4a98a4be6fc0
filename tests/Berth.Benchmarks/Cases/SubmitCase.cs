using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Submissions that are on disk before their 202, beside Kestrel's bare echo under the same load generator. A task that
/// sleeps holds the node's only place meanwhile, so that the figure is of accepting alone.
/// </summary>
internal static partial class SubmitCase
{
    private const int Seconds = 10;

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
        List<double> ratios = [];
        List<string> details = [];
        try
        {
            await ListeningAsync(echoPort);
            await WrkAsync(script, $"http://127.0.0.1:{echoPort}/", 3);
            await WrkAsync(script, $"http://127.0.0.1:{rig.Port}/v1/tasks/bench/busybox:1", 3);
            for (int round = 0; round < 3; round++)
            {
                double reference = await WrkAsync(script, $"http://127.0.0.1:{echoPort}/", Seconds);
                double ours = await WrkAsync(script, $"http://127.0.0.1:{rig.Port}/v1/tasks/bench/busybox:1", Seconds);
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

    private static async Task ListeningAsync(int port)
    {
        while (true)
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(IPAddress.Loopback, port);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(20);
            }
        }
    }

    private static async Task<double> WrkAsync(string script, string url, int seconds)
    {
        string output = await Command.RunAsync("wrk", "-t1", "-c32", $"-d{seconds}s", "-s", script, url);
        return output.Contains("Non-2xx", StringComparison.Ordinal)
            ? throw new InvalidOperationException("Refused requests are not counted as success:\n" + output)
            : double.Parse(RatePattern().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"Requests/sec:\s+([0-9.]+)")]
    private static partial Regex RatePattern();
}
