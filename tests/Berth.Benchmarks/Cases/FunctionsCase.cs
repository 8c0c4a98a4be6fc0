using System.Net.Http.Json;
using Berth.Api.Functions;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Ten thousand deployed functions of which a hundred are called, half of them by instances: what the server holds, how
/// long a call takes beside a server that has only the hundred, and what all this costs while nobody calls.
/// </summary>
internal static class FunctionsCase
{
    private const int Callers = 4;
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        int functions = options.Scaled(10_000);
        int active = options.Scaled(100);
        await using BerthRig few = await BerthRig.StartAsync(options);
        await using BerthRig many = await BerthRig.StartAsync(options);
        await ServiceCase.PushAsync(few, options);
        await ServiceCase.PushAsync(many, options);
        await few.PushBusyboxAsync();
        await many.PushBusyboxAsync();
        int[] called = [.. Enumerable.Range(0, active).Select(i => i * (functions / active))];
        foreach (int number in called)
        {
            await DeployAsync(few, number, IsHttp(number, functions / active));
        }

        long empty = many.Status("VmRSS");
        long begun = TimeProvider.System.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, functions), new ParallelOptions { MaxDegreeOfParallelism = 16 },
            async (i, _) => await DeployAsync(many, i, IsHttp(i, functions / active)));
        TimeSpan deployed = TimeProvider.System.GetElapsedTime(begun);
        await CallAsync(few, called, TimeSpan.FromSeconds(5));
        await CallAsync(many, called, TimeSpan.FromSeconds(5));
        List<double> http = [];
        List<double> fresh = [];
        string detail = "";
        for (int round = 0; round < 5; round++)
        {
            Samples[] one = await CallAsync(few, called, TimeSpan.FromSeconds(4));
            Samples[] all = await CallAsync(many, called, TimeSpan.FromSeconds(4));
            http.Add(all[0].P50 / one[0].P50);
            fresh.Add(all[1].P50 / one[1].P50);
            detail = $"http {all[0]}, beside {one[0]}; stdio {all[1]}, beside {one[1]}";
        }

        long resident = many.Status("VmRSS");
        double busy = await many.ProcessorShareAsync(TimeSpan.FromSeconds(10));
        return
        [
            new(
                "server's memory, MiB", resident / 1048576.0, 400, AtMost: true,
                $"{empty / 1048576.0:0} before; {functions} functions deployed in {deployed.TotalSeconds:0.0} s, "
                + $"{active} of them called"),
            new("p50 of an http call / with no others deployed", http.Order().ElementAt(2), 1.15, AtMost: true, detail),
            new("p50 of a stdio call / with no others deployed", fresh.Order().ElementAt(2), 1.15, AtMost: true, ""),
            new("processor of the idle server, cores", busy, 0.05, AtMost: true, ""),
        ];
    }

    /// <summary>Every other one of those that are called.</summary>
    private static bool IsHttp(int number, int step) => number % (2 * step) == 0;

    private static async Task DeployAsync(BerthRig rig, int number, bool isHttp)
    {
        FunctionRequest request = isHttp
            ? new("bench/service:1", Contract: "http", Memory: "64Mi")
            : new("bench/busybox:1", Command: ["cat"], Memory: "64Mi");
        using HttpResponseMessage answer = await rig.Http.PutAsJsonAsync(
            $"/v1/functions/f{number}", request, FunctionJson.Default.FunctionRequest);
        if (!answer.IsSuccessStatusCode)
        {
            throw new InvalidOperationException(await answer.Content.ReadAsStringAsync());
        }
    }

    /// <returns>Of the functions with the http contract, and of the others.</returns>
    private static async Task<Samples[]> CallAsync(BerthRig rig, int[] functions, TimeSpan length)
    {
        Samples[] samples = [new(), new()];
        long begun = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Callers).Select(async caller =>
        {
            for (int i = caller; TimeProvider.System.GetElapsedTime(begun) < length; i += Callers)
            {
                int place = i % functions.Length;
                string path = $"/v1/functions/f{functions[place]}" + ((place & 1) == 0 ? "/echo" : "");
                TimeSpan took = await rig.EchoAsync(Body, path);
                lock (samples)
                {
                    samples[place & 1].Add(took);
                }
            }
        }));
        return samples;
    }
}
