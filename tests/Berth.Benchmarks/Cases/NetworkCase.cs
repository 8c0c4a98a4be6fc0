using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>What a network of its own adds to a container that is made while the call waits: nothing prepared, calls
/// with and without one in turns.</summary>
internal static class NetworkCase
{
    private const string With = "/v1/functions/in";
    private const string Without = "/v1/functions/out";
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options, "--pool-memory", "0");
        await rig.PushBusyboxAsync();
        await rig.CliAsync("network", "create", "own");
        await rig.CliAsync("function", "deploy", "--isolation", "strict", "out", "bench/busybox:1", "cat");
        await rig.CliAsync(
            "function", "deploy", "--isolation", "strict", "--network", "own", "in", "bench/busybox:1", "cat");
        Samples with = new();
        Samples without = new();
        int count = options.Scaled(400);
        for (int i = -20; i < count; i++)
        {
            // Whichever is second may find what the first has left.
            bool isFirst = i % 2 == 0;
            TimeSpan one = await rig.EchoAsync(Body, isFirst ? With : Without);
            TimeSpan other = await rig.EchoAsync(Body, isFirst ? Without : With);
            if (i >= 0)
            {
                with.Add(isFirst ? one : other);
                without.Add(isFirst ? other : one);
            }
        }

        return
        [
            new(
                "p50 that it adds, ms", (with.P50 - without.P50), 0.1, AtMost: true,
                $"with {with}; without {without}"),
        ];
    }
}
