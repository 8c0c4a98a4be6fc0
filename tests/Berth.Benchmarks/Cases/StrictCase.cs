using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A function with a container for each call, called at half the rate at which containers can be readied: how long the
/// slowest of a hundred calls takes, beside plain <c>runc run</c> of an equal bundle.
/// </summary>
internal static class StrictCase
{
    private const string Path = "/v1/functions/echo";
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(rig, "cat");
        await rig.CliAsync("function", "deploy", "--isolation", "strict", "echo", "bench/busybox:1", "cat");
        Samples ours = new();
        Samples reference = new();
        List<double> ratios = [];
        string detail = "";
        for (int round = 0; round < 3; round++)
        {
            // With more callers than cores nothing stands ready: calls are as fast as containers are made.
            double refill = await StartCases.RateAsync(
                2 * Environment.ProcessorCount, TimeSpan.FromSeconds(6), _ => rig.EchoAsync(Body, Path));
            for (int i = 0; i < 30; i++)
            {
                reference.Add(await bundle.RunAsync(Body));
            }

            // The pool is full again before the first of them.
            await Task.Delay(TimeSpan.FromSeconds(3));
            Samples block = new();
            await StartCases.OpenRateAsync(
                TimeSpan.FromSeconds(2 / refill), options.Scaled(300), async () =>
                {
                    TimeSpan took = await rig.EchoAsync(Body, Path);
                    lock (block)
                    {
                        block.Add(took);
                    }
                },
                skip: 0);
            ratios.Add(block.P99 / reference.P50);
            detail += $"{refill:0.0} a second refilled, {block}; ";
        }

        return
        [
            new(
                "p99 at half the refill rate / runc run p50", ratios.Order().ElementAt(1), 0.5, AtMost: true,
                $"{detail}runc {reference}"),
        ];
    }
}
