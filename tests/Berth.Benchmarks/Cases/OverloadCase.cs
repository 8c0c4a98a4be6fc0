using System.Net;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// What is served where more is asked for than there is room for, beside what is served when all places and the whole
/// line are taken. A caller who is refused comes again a moment later, sooner than it was told to.
/// </summary>
internal static class OverloadCase
{
    private const int Places = 4;
    private const int Waiting = 8;
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(200);
    private static readonly byte[] Body = new byte[1024];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--max-running", $"{Places}", "--waiting-calls-limit", $"{Waiting}");
        await rig.PushBusyboxAsync();
        await MeasureAsync(rig, Places);
        double peak = 0;
        Dictionary<int, List<double>> served = new() { [2] = [], [5] = [], [10] = [] };
        Samples refusals = new();
        for (int round = 0; round < 3; round++)
        {
            // The peak is taken anew beside each, since the machine's own pace changes.
            peak = await MeasureAsync(rig, Places + Waiting);
            foreach ((int times, List<double> ratios) in served)
            {
                ratios.Add(await MeasureAsync(rig, times * (Places + Waiting), refusals) / peak);
            }
        }

        return
        [
            .. served.Select(s => new Figure(
                $"calls served a second at {s.Key} times capacity / at capacity", s.Value.Order().ElementAt(1), 0.9,
                AtMost: false, $"{string.Join(", ", s.Value.Select(r => $"{r:0.00}"))}; capacity {peak:0.0} a second")),
            new(
                "a refusal / a call's time at capacity, p50", refusals.P50 / ((Places + Waiting) * 1000 / peak), 0.1,
                AtMost: true, $"{refusals}"),
        ];
    }

    /// <returns>Calls served a second.</returns>
    private static async Task<double> MeasureAsync(BerthRig rig, int callers, Samples? refusals = null)
    {
        int good = 0;
        long begun = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(async _ =>
        {
            while (TimeProvider.System.GetElapsedTime(begun) < Length)
            {
                long sent = TimeProvider.System.GetTimestamp();
                using ByteArrayContent content = new(Body);
                using HttpResponseMessage answer = await rig.Http.PostAsync(
                    new Uri("/v1/call/bench/busybox:1", UriKind.Relative), content);
                byte[] echoed = await answer.Content.ReadAsByteArrayAsync();
                if (answer.StatusCode == HttpStatusCode.OK && echoed.AsSpan().SequenceEqual(Body))
                {
                    Interlocked.Increment(ref good);
                    continue;
                }

                if (answer.StatusCode is not (HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable))
                {
                    throw new InvalidOperationException($"{answer}");
                }

                if (refusals is not null)
                {
                    lock (refusals)
                    {
                        refusals.Add(TimeProvider.System.GetElapsedTime(sent));
                    }
                }

                await Task.Delay(Moment);
            }
        }));
        return good / TimeProvider.System.GetElapsedTime(begun).TotalSeconds;
    }
}
