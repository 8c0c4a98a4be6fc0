using System.Globalization;
using System.Net;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Two hundred callers at once of a function that has no instance yet: every one is answered or refused with 429, none
/// is lost, those that had to wait are told for how long, and the slowest is within the function's deadline.
/// </summary>
internal static class BurstCase
{
    private const int Callers = 200;
    private const int Rounds = 5;
    private const double DeadlineSeconds = 10;
    private static readonly byte[] Body = new byte[1024];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await ServiceCase.PushAsync(rig, options);
        Samples served = new();
        Samples queued = new();
        int refused = 0;
        int wrong = 0;
        for (int round = 0; round < Rounds; round++)
        {
            string name = $"burst{round}";
            await rig.CliAsync(
                "function", "deploy", "--contract", "http", "--concurrency", "10", "--timeout", $"{DeadlineSeconds}s",
                "--idle", "100ms", "--scale-down-delay", "100ms", name, "bench/service:1");
            while (await ServiceCase.CountAsync(rig, name) > 0)
            {
                await Task.Delay(50);
            }

            await Task.WhenAll(Enumerable.Range(0, Callers).Select(async _ =>
            {
                for (int call = 0; call < 5; call++)
                {
                    long sent = TimeProvider.System.GetTimestamp();
                    using ByteArrayContent content = new(Body);
                    using HttpResponseMessage answer = await rig.Http.PostAsync(
                        new Uri($"/v1/functions/{name}/echo", UriKind.Relative), content);
                    byte[] echoed = await answer.Content.ReadAsByteArrayAsync();
                    lock (served)
                    {
                        if (answer.StatusCode == HttpStatusCode.OK && echoed.AsSpan().SequenceEqual(Body))
                        {
                            served.Add(TimeProvider.System.GetElapsedTime(sent));
                            if (answer.Headers.TryGetValues("Berth-Queue-Ms", out IEnumerable<string>? told))
                            {
                                queued.Add(TimeSpan.FromMilliseconds(
                                    double.Parse(told.Single(), CultureInfo.InvariantCulture)));
                            }
                        }
                        else if (answer.StatusCode == HttpStatusCode.TooManyRequests)
                        {
                            refused++;
                        }
                        else
                        {
                            wrong++;
                        }
                    }
                }
            }));
        }

        return
        [
            new("answers but 200 and 429", wrong, 0, AtMost: true, $"{served.Count} served, {refused} refused"),
            new(
                "p99 of what was served / the deadline", served.P99 / (DeadlineSeconds * 1000), 1, AtMost: true,
                $"{served}"),
            new(
                "calls that were told how long they waited", queued.Count, 1, AtMost: false,
                queued.Count > 0 ? $"{queued}" : ""),
        ];
    }
}
