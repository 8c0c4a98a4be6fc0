using System.Text.Json.Nodes;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Where the time of a call goes, with a sandbox prepared ahead and with none: the server's own times of each phase,
/// and what the caller waits beyond them (HTTP, copying, scheduling).
/// </summary>
internal static class PhaseCase
{
    private const int Calls = 100;

    private static readonly string[] Phases = ["queueMs", "prepareMs", "startMs", "runMs"];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await PrintAsync("prepared ahead", options);
        await PrintAsync("nothing prepared", options, "--pool-memory", "0");
        return [];
    }

    private static async Task PrintAsync(string title, BenchOptions options, params string[] flags)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options, flags);
        await rig.PushBusyboxAsync();
        byte[] body = new byte[1024];
        Samples waited = new();
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(100));
        for (int i = 0; i < Calls + 10; i++)
        {
            await timer.WaitForNextTickAsync();
            TimeSpan elapsed = await rig.EchoAsync(body);
            if (i >= 10)
            {
                waited.Add(elapsed);
            }
        }

        JsonNode list = JsonNode.Parse(await rig.Http.GetStringAsync(
            new Uri($"/v1/runs?limit={Calls}", UriKind.Relative)))!;
        JsonNode[] timings = [.. list["runs"]!.AsArray().Select(r => r!["timings"]!)];
        Console.WriteLine("  " + title);
        double inside = 0;
        foreach (string phase in Phases)
        {
            double median = Median(timings.Select(t => t[phase]!.GetValue<double>()));
            inside += median;
            Console.WriteLine($"  {phase[..^2],-8} {median,7:0.00} ms");
        }

        Console.WriteLine($"  {"outside",-8} {waited.P50 - inside,7:0.00} ms");
        Console.WriteLine($"  {"caller",-8} {waited.P50,7:0.00} ms   {waited}");
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
