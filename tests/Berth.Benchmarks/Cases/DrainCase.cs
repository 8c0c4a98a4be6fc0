using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Durable calls of a function that does nothing, handed in while something else has every place and worked off once
/// it has gone, beside the same function called by as many callers as there are places, who wait.
/// </summary>
internal static class DrainCase
{
    private const int Places = 8;
    private const string Path = "/v1/functions/noop";

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--max-running", $"{Places}", "--queue-limit", "1000000");
        await rig.PushBusyboxAsync();
        await rig.CliAsync("function", "deploy", "noop", "bench/busybox:1", "true");
        int count = options.Scaled(4000);
        List<double> ratios = [];
        List<string> details = [];
        for (int round = 0; round < 3; round++)
        {
            double waited = await StartCases.RateAsync(
                Places, TimeSpan.FromSeconds(5), _ => CallAsync(rig));
            string[] holders = await Task.WhenAll(
                Enumerable.Range(0, Places).Select(_ => HoldAsync(rig)));
            while (await rig.MetricAsync("berth_tasks{state=\"running\"}") < Places)
            {
                await Task.Delay(20);
            }

            await Parallel.ForEachAsync(
                Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = 32 },
                async (_, _) => await rig.SubmitAsync(Path));
            long start = TimeProvider.System.GetTimestamp();
            await Task.WhenAll(holders.Select(id => rig.CliAsync("task", "cancel", id)));
            // A look costs the server something, too.
            while (await rig.TasksLeftAsync() > 0)
            {
                await Task.Delay(100);
            }

            double drained = count / TimeProvider.System.GetElapsedTime(start).TotalSeconds;
            ratios.Add(drained / waited);
            details.Add($"{drained:0} / {waited:0} a second");
        }

        return
        [
            new(
                "durable no-ops drained a second / called by who waits", ratios.Order().ElementAt(1), 0.7,
                AtMost: false, string.Join("; ", details)),
        ];
    }

    private static async Task<TimeSpan> CallAsync(BerthRig rig)
    {
        long start = TimeProvider.System.GetTimestamp();
        using HttpResponseMessage answer = await rig.Http.PostAsync(new Uri(Path, UriKind.Relative), content: null);
        answer.EnsureSuccessStatusCode();
        return TimeProvider.System.GetElapsedTime(start);
    }

    private static async Task<string> HoldAsync(BerthRig rig) => (await rig.CliAsync(
        "task", "submit", "--timeout", "1h", "bench/busybox:1", "sleep", "3600")).Trim();
}
