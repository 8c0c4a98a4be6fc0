using System.Globalization;
using System.Text.Json;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>What the first call of a frozen instance takes more than the next one of the same, over a kept connection.
/// </summary>
internal static class FrozenCase
{
    private const int Calls = 20;
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await ServiceCase.PushAsync(rig, options);
        await rig.CliAsync(
            "function", "deploy", "--contract", "http", "--freeze", "100ms", "idle", "bench/service:1");
        Samples frozen = new();
        Samples warm = new();
        for (int i = 0; i < Calls; i++)
        {
            await FrozenAsync(rig);
            frozen.Add(await rig.EchoAsync(Body, "/v1/functions/idle/echo"));
            // Some time after the one before, as calls of an idle function come.
            await Task.Delay(50);
            warm.Add(await rig.EchoAsync(Body, "/v1/functions/idle/echo"));
        }

        return
        [
            new("p50 of a frozen instance's call less a warm one's, ms",
                frozen.P50 - warm.P50, 0.6, AtMost: true,
                string.Create(CultureInfo.InvariantCulture, $"frozen {frozen}; warm {warm}")),
        ];
    }

    private static async Task FrozenAsync(BerthRig rig)
    {
        while (true)
        {
            using JsonDocument view = JsonDocument.Parse(await rig.Http.GetStringAsync(
                new Uri("/v1/functions/idle", UriKind.Relative)));
            if (view.RootElement.GetProperty("instances").EnumerateArray().All(
                i => i.GetProperty("frozen").GetBoolean()))
            {
                return;
            }

            await Task.Delay(100);
        }
    }
}
