using System.Diagnostics;
using System.Globalization;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A function whose calls are processes in a sandbox that serves many, 1 KiB through cat over HTTP with token, limits,
/// metering and records, 8 callers: beside a bare gateway that starts the same program for each request.
/// </summary>
internal static class ReusedCase
{
    /// <summary>Until what is called often has been compiled for that.</summary>
    private const int WarmUp = 8;
    private const int Callers = 8;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        Directory.CreateDirectory(options.Work);
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        // The bare gateway has all processors, so one sandbox alone may have them, too.
        string processors = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture);
        await DeployAsync(rig, "alone", "--isolation", "reused", "--cpus", processors);
        await DeployAsync(rig, "shared", "--isolation", "reused", "--cpus", processors, "--concurrency", "8");
        await DeployAsync(rig, "fresh", "--isolation", "single-use");
        string script = await Wrk.WriteEchoAsync(options, rig);
        int port = BerthRig.FreePort();
        using Process gateway = Command.Start(
            Environment.ProcessPath!, [typeof(ReusedCase).Assembly.Location, "process-gateway", $"{port}"]);
        List<double> alone = [];
        List<double> shared = [];
        List<string> details = [];
        try
        {
            await Wrk.ListeningAsync(port);
            // Sandboxes are to be warm, and both servers' code.
            await Wrk.RunAsync(script, $"http://127.0.0.1:{port}/", Callers, WarmUp);
            foreach (string function in (string[])["alone", "shared", "fresh"])
            {
                await MeasureAsync(rig, script, function, WarmUp);
            }

            for (int round = 0; round < Turns.Count; round++)
            {
                (double Rate, double P50) bare = await Wrk.RunAsync(script, $"http://127.0.0.1:{port}/", Callers);
                (double Rate, double P50) one = await MeasureAsync(rig, script, "alone");
                (double Rate, double P50) many = await MeasureAsync(rig, script, "shared");
                (double Rate, double P50) single = await MeasureAsync(rig, script, "fresh");
                alone.Add(one.Rate / bare.Rate);
                shared.Add(many.Rate / bare.Rate);
                details.Add(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{one.Rate:0} and {many.Rate:0} / bare {bare.Rate:0} / single-use {single.Rate:0} a second, p50 "
                    + $"{one.P50:0} and {many.P50:0} / {bare.P50:0} / {single.P50:0} µs"));
            }
        }
        finally
        {
            gateway.Kill();
        }

        return
        [
            new(
                "calls a second, one at once in a sandbox / bare process gateway", Turns.Middle(alone), 1.0,
                AtMost: false, string.Join("; ", details)),
            new("the same, eight at once in a sandbox", Turns.Middle(shared), 1.0, AtMost: false, ""),
        ];
    }

    private static Task<string> DeployAsync(BerthRig rig, string name, params string[] flags) =>
        rig.CliAsync(["function", "deploy", .. flags, name, "bench/busybox:1", "cat"]);

    private static Task<(double Rate, double P50)> MeasureAsync(
        BerthRig rig, string script, string function, int seconds = Turns.Seconds) =>
        Wrk.RunAsync(script, $"http://127.0.0.1:{rig.Port}/v1/functions/{function}", Callers, seconds);
}
