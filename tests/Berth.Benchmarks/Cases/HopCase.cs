using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// What a node of another machine costs a call: the same call of a reused sandbox, and of an instance that serves HTTP,
/// on the server's own node and on one that has joined, beside a bare echo over HTTP/2 and TLS from one process to
/// another.
/// </summary>
internal static class HopCase
{
    private const string Path = "/v1/functions/echo";
    private const double Most = 2;
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        int port = BerthRig.FreePort();
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--node-listen", $"127.0.0.1:{port}", "--node-name", "control");
        await rig.PushBusyboxAsync();
        await rig.CliAsync("function", "deploy", "--isolation", "reused", "echo", "bench/busybox:1", "cat");
        await using JoinedNode node = await JoinedNode.StartAsync(rig, options, port, "worker");
        await ServiceCase.PushAsync(rig, options, "echo");
        foreach (string name in (string[])["control", "worker"])
        {
            await rig.CliAsync(
                "function", "deploy", "--contract", "http", "--min-instances", "1", "--constraint", "node=" + name,
                "on-" + name, "bench/echo:1");
        }

        return await MeasureAsync(rig, options);
    }

    private static async Task<IReadOnlyList<Figure>> MeasureAsync(BerthRig rig, BenchOptions options)
    {
        await using BareHop bare = await BareHop.StartAsync(options);
        Samples local = new();
        Samples remote = new();
        Samples hop = new();
        Samples localInstance = new();
        Samples remoteInstance = new();
        for (int round = 0; round < 4; round++)
        {
            bool isMeasured = round > 0;
            await OnAsync(rig, "control", "worker");
            await TakeAsync(options, isMeasured ? local : null, () => rig.EchoAsync(Body, Path));
            await OnAsync(rig, "worker", "control");
            await TakeAsync(options, isMeasured ? remote : null, () => rig.EchoAsync(Body, Path));
            await TakeAsync(options, isMeasured ? hop : null, () => bare.EchoAsync(Body));
            await TakeAsync(
                options, isMeasured ? localInstance : null, () => rig.EchoAsync(Body, "/v1/functions/on-control/"));
            await TakeAsync(
                options, isMeasured ? remoteInstance : null, () => rig.EchoAsync(Body, "/v1/functions/on-worker/"));
        }

        return
        [
            new(
                "a call's time on a node over its time here, in bare HTTP/2 hops", (remote.P50 - local.P50) / hop.P50,
                Most, AtMost: true, $"here {local}; on a node {remote}; bare hop {hop}"),
            new(
                "the same of an instance that serves HTTP", (remoteInstance.P50 - localInstance.P50) / hop.P50, Most,
                AtMost: true, $"here {localInstance}; on a node {remoteInstance}; bare hop {hop}"),
        ];
    }

    private static async Task TakeAsync(BenchOptions options, Samples? samples, Func<Task<TimeSpan>> call)
    {
        for (int i = 0; i < options.Scaled(500); i++)
        {
            TimeSpan took = await call();
            samples?.Add(took);
        }
    }

    /// <summary>Lets one node have all of it.</summary>
    private static async Task OnAsync(BerthRig rig, string node, string other)
    {
        await rig.CliAsync("node", "uncordon", node);
        await rig.CliAsync("node", "cordon", other);
    }
}
