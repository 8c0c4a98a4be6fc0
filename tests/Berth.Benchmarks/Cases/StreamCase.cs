using System.Diagnostics;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A large body through <c>cat</c> and back, beside the same container with inherited pipes and no HTTP.
/// </summary>
internal static class StreamCase
{
    private const long Size = 1L << 30;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        Directory.CreateDirectory(options.Work);
        string file = Path.Combine("/dev/shm", $"berth-bench-{Environment.ProcessId}");
        await Command.RunAsync("sh", "-c", "openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 </dev/zero 2>/dev/null | "
            + $"head -c {Size} > {file}");
        try
        {
            await using BerthRig rig = await BerthRig.StartAsync(options);
            await rig.PushBusyboxAsync();
            await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(rig, "cat");
            string expected = await Command.RunAsync("sh", "-c", $"sha256sum < {file}");
            string got = await CurlAsync(rig, file, "| sha256sum");
            if (got != expected)
            {
                throw new InvalidOperationException("The body that came back is not the one that was sent.");
            }

            long before = rig.Status("VmRSS");
            List<double> ratios = [];
            List<string> details = [];
            for (int round = 0; round < 5; round++)
            {
                TimeSpan raw = await TimeAsync(
                    $"cat {file} | runc --root {bundle.State} run -b {bundle.Path} ref{round} | cat > /dev/null");
                long start = TimeProvider.System.GetTimestamp();
                await CurlAsync(rig, file, "> /dev/null");
                TimeSpan ours = TimeProvider.System.GetElapsedTime(start);
                ratios.Add(raw / ours);
                details.Add($"{Size / ours.TotalSeconds / 1e6:0}/{Size / raw.TotalSeconds / 1e6:0} MB/s");
            }

            double growth = (rig.Status("VmHWM") - before) / 1048576.0;
            ratios.Sort();
            return
            [
                new("throughput / runc run with pipes", ratios[2], 0.4, AtMost: false, string.Join(", ", details)),
                new("growth of the server's peak memory, MiB", growth, 64, AtMost: true, ""),
            ];
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static Task<string> CurlAsync(BerthRig rig, string file, string sink) => Command.RunAsync(
        "sh", "-c", $"curl -sf -X POST -T {file} -H 'Authorization: Bearer {rig.Token}' -H 'Berth-Output-Limit: 2Gi' "
        + $"http://127.0.0.1:{rig.Port}/v1/call/bench/busybox:1 {sink}");

    private static Task<TimeSpan> TimeAsync(string script) => Command.TimeAsync("bash", "-o", "pipefail", "-c", script);
}
