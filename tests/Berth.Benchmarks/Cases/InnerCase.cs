using System.Diagnostics;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A function whose calls each get a fresh sandbox within one container, 1 KiB through cat over HTTP with token, limits
/// and metering: how many a second beside the best loop of <c>runc run</c>, and how long one takes beside a plain
/// process of the same program that this process starts.
/// </summary>
internal static class InnerCase
{
    private const string Path = "/v1/functions/echo";
    private const int Seconds = 4;

    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        await rig.EchoAsync(Body);
        int lanes = 2 * Environment.ProcessorCount;
        List<ReferenceBundle> bundles = [];
        for (int lane = 0; lane < lanes; lane++)
        {
            bundles.Add(await ReferenceBundle.CreateAsync(rig, "cat"));
        }

        await rig.CliAsync("function", "deploy", "--isolation", "single-use", "echo", "bench/busybox:1", "cat");
        string url = $"http://127.0.0.1:{rig.Port}{Path}";
        string script = await Wrk.WriteEchoAsync(options, rig);
        // Sandboxes are to be ready, and the server's code warm.
        await Wrk.RunAsync(script, url, 8, Seconds);
        double best = 0;
        double ours = 0;
        string detail = "";
        Samples one = new();
        Samples plain = new();
        for (int round = 0; round < 3; round++)
        {
            foreach (int parallel in (int[])[Environment.ProcessorCount, lanes])
            {
                double rate = await StartCases.RateAsync(
                    parallel, TimeSpan.FromSeconds(Seconds), lane => bundles[lane].RunAsync(Body));
                detail += $" runc×{parallel} {rate:0.0}";
                best = Math.Max(best, rate);
            }

            foreach (int callers in (int[])[2, 8])
            {
                (double rate, _) = await Wrk.RunAsync(script, url, callers, Seconds);
                detail += $" berth×{callers} {rate:0.0}";
                ours = Math.Max(ours, rate);
            }

            for (int i = 0; i < 200; i++)
            {
                one.Add(await rig.EchoAsync(Body, Path));
                plain.Add(await PlainAsync());
            }
        }

        foreach (ReferenceBundle bundle in bundles)
        {
            await bundle.DisposeAsync();
        }

        return
        [
            new("sandboxes a second / best runc run loop", ours / best, 12, AtMost: false, detail.Trim()),
            new("p50 / a plain process", one.P50 / plain.P50, 3, AtMost: true, $"ours {one}; a process {plain}"),
        ];
    }

    private static async Task<TimeSpan> PlainAsync()
    {
        long start = TimeProvider.System.GetTimestamp();
        using Process process = Process.Start(new ProcessStartInfo("/bin/busybox", ["cat"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        })!;
        await process.StandardInput.BaseStream.WriteAsync(Body);
        process.StandardInput.Close();
        using MemoryStream echoed = new();
        await process.StandardOutput.BaseStream.CopyToAsync(echoed);
        await process.WaitForExitAsync();
        return echoed.ToArray().AsSpan().SequenceEqual(Body)
            ? TimeProvider.System.GetElapsedTime(start)
            : throw new InvalidOperationException("The plain process echoed something else.");
    }
}
