using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Berth.Benchmarks.Rigs;

/// <summary>The load generator wrk: callers that each send the next request when the last is answered.</summary>
internal static partial class Wrk
{
    /// <summary>Returns once something takes connections at the port of this machine.</summary>
    public static async Task ListeningAsync(int port)
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

    /// <summary>A script that sends 1 KiB with the rig's token and takes nothing but the same for an answer. Returns
    /// its path.</summary>
    public static async Task<string> WriteEchoAsync(BenchOptions options, BerthRig rig)
    {
        string script = Path.Combine(options.Work, "echo.lua");
        await File.WriteAllTextAsync(script, $"""
            wrk.method = "POST"
            wrk.body = string.rep("x", 1024)
            wrk.headers["Authorization"] = "Bearer {rig.Token}"
            function response(status, headers, body)
                if body ~= wrk.body then error("another body") end
            end
            """);
        return script;
    }

    /// <returns>Answers a second, and the middle latency in microseconds.</returns>
    public static async Task<(double Rate, double P50)> RunAsync(
        string script, string url, int callers, int seconds = Turns.Seconds)
    {
        string output = await Command.RunAsync(
            "wrk", "-t1", $"-c{callers}", $"-d{seconds}s", "--latency", "-s", script, url);
        if (output.Contains("Non-2xx", StringComparison.Ordinal)
            || output.Contains("Socket errors", StringComparison.Ordinal))
        {
            throw new InvalidOperationException("Refused requests are not counted as success:\n" + output);
        }

        Match latency = LatencyPattern().Match(output);
        double unit = latency.Groups[2].Value switch
        {
            "us" => 1,
            "ms" => 1000,
            _ => 1_000_000,
        };
        return (
            double.Parse(RatePattern().Match(output).Groups[1].Value, CultureInfo.InvariantCulture),
            double.Parse(latency.Groups[1].Value, CultureInfo.InvariantCulture) * unit);
    }

    [GeneratedRegex(@"Requests/sec:\s+([0-9.]+)")]
    private static partial Regex RatePattern();

    [GeneratedRegex(@"50%\s+([0-9.]+)(us|ms|s)")]
    private static partial Regex LatencyPattern();
}
