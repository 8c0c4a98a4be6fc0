using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// Functions over HTTP: an echo of 1 KiB through a reused instance, with token, limits, metering and logs on, beside
/// Kestrel's own echo and beside nginx in front of the same program; what one call gains in latency; the first answer
/// from nothing beside <c>runc run</c>; and what an idle instance holds.
/// </summary>
internal static class ServiceCase
{
    /// <summary>Until what is called often has been compiled for that.</summary>
    private const int WarmUp = 15;
    private const int Idle = 40;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        string program = await PushAsync(rig, options, "echo");
        await PushAsync(rig, options);
        return
        [
            .. await ThroughputAsync(rig, options, program),
            await FromZeroAsync(rig),
            await MemoryAsync(rig),
        ];
    }

    /// <summary>Puts the service into the registry as <c>bench/service:1</c>.</summary>
    internal static Task PushAsync(BerthRig rig, BenchOptions options) => PushAsync(rig, options, "service");

    /// <summary>Puts one of the tests' programs into the registry as <c>bench/NAME:1</c>; the path of its program.
    /// </summary>
    internal static async Task<string> PushAsync(BerthRig rig, BenchOptions options, string name)
    {
        string program = Path.Combine(options.Work, name);
        await Command.RunAsync(
            "gcc", "-O2", "-static", "-w", $"tests/Berth.Testing/Programs/{name}.c", "-o", program);
        string root = program + "-root";
        Directory.CreateDirectory(root + "/bin");
        File.Copy(program, $"{root}/bin/{name}", overwrite: true);
        await rig.CliAsync("image", "pack", "-q", "--entrypoint", $"/bin/{name}", $"bench/{name}:1", root);
        Directory.Delete(root, recursive: true);
        return program;
    }

    private static async Task<IReadOnlyList<Figure>> ThroughputAsync(
        BerthRig rig, BenchOptions options, string program)
    {
        await rig.CliAsync(
            "function", "deploy", "--contract", "http", "--concurrency", "100", "echo", "bench/echo:1");
        string script = Path.Combine(options.Work, "echo.lua");
        await File.WriteAllTextAsync(script, $"""
            wrk.method = "POST"
            wrk.body = string.rep("x", 1024)
            wrk.headers["Authorization"] = "Bearer {rig.Token}"
            """);
        int kestrelPort = BerthRig.FreePort();
        int directPort = BerthRig.FreePort();
        using Process kestrel = Command.Start(
            Environment.ProcessPath!, [typeof(ServiceCase).Assembly.Location, "echo-server", $"{kestrelPort}"]);
        using Process direct = Command.Start("env", [$"PORT={directPort}", program]);
        await using Nginx nginx = await Nginx.StartAsync(options, directPort);
        string ours = $"http://127.0.0.1:{rig.Port}/v1/functions/echo/echo";
        string plain = $"http://127.0.0.1:{directPort}/echo";
        List<double> overKestrel = [];
        List<double> overNginx = [];
        List<double> added = [];
        List<string> details = [];
        try
        {
            await Wrk.ListeningAsync(kestrelPort);
            await Wrk.ListeningAsync(directPort);
            await Wrk.RunAsync(script, $"http://127.0.0.1:{kestrelPort}/", 64, WarmUp);
            await Wrk.RunAsync(script, ours, 64, WarmUp);
            for (int round = 0; round < Turns.Count; round++)
            {
                double reference = (await Wrk.RunAsync(script, $"http://127.0.0.1:{kestrelPort}/", 64)).Rate;
                double proxy = (await Wrk.RunAsync(script, $"http://127.0.0.1:{nginx.Port}/echo", 64)).Rate;
                double berth = (await Wrk.RunAsync(script, ours, 64)).Rate;
                double alone = (await Wrk.RunAsync(script, plain, 1)).P50;
                double through = (await Wrk.RunAsync(script, ours, 1)).P50;
                overKestrel.Add(berth / reference);
                overNginx.Add(berth / proxy);
                added.Add(through - alone);
                details.Add(
                    $"{berth:0} / kestrel {reference:0} / nginx {proxy:0} a second, {through:0} / {alone:0} µs");
            }
        }
        finally
        {
            kestrel.Kill();
            direct.Kill();
        }

        return
        [
            new("echo a second, 64 callers / Kestrel alone", Turns.Middle(overKestrel), 0.50, AtMost: false,
                string.Join("; ", details)),
            new("the same / nginx as reverse proxy", Turns.Middle(overNginx), 0.60, AtMost: false, ""),
            new("p50 added at one caller, µs", Turns.Middle(added), 30, AtMost: true, ""),
        ];
    }

    /// <summary>The first call when nothing runs, until its answer is whole.</summary>
    private static async Task<Figure> FromZeroAsync(BerthRig rig)
    {
        await rig.PushBusyboxAsync();
        await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(rig, "true");
        await rig.CliAsync(
            "function", "deploy", "--contract", "http", "--idle", "100ms", "--scale-down-delay", "100ms", "brief",
            "bench/service:1");
        Samples ours = new();
        Samples reference = new();
        for (int i = 0; i < 15; i++)
        {
            while (await CountAsync(rig, "brief") > 0)
            {
                await Task.Delay(50);
            }

            reference.Add(await bundle.RunAsync([]));
            long start = TimeProvider.System.GetTimestamp();
            using HttpResponseMessage answer = await rig.Http.GetAsync(
                new Uri("/v1/functions/brief/head", UriKind.Relative));
            await answer.Content.ReadAsByteArrayAsync();
            answer.EnsureSuccessStatusCode();
            ours.Add(TimeProvider.System.GetElapsedTime(start));
        }

        return new(
            "from nothing to the first answer / runc run of /bin/true, p50", ours.P50 / reference.P50, 1.5,
            AtMost: true, $"ours {ours}; runc {reference}");
    }

    /// <summary>What the server and the sandboxes hold for idle instances, their programs included.</summary>
    private static async Task<Figure> MemoryAsync(BerthRig rig)
    {
        long before = rig.Status("VmRSS");
        await rig.CliAsync(
            "function", "deploy", "--contract", "http", "--min-instances", $"{Idle}", "--max-instances", $"{Idle}",
            "many", "bench/service:1");
        while (await CountAsync(rig, "many") < Idle)
        {
            await Task.Delay(200);
        }

        await Task.Delay(TimeSpan.FromSeconds(10));
        using JsonDocument view = JsonDocument.Parse(await rig.CliAsync("function", "get", "many"));
        long charged = view.RootElement.GetProperty("instances").EnumerateArray()
            .Sum(i => i.GetProperty("memoryBytes").GetInt64());
        double server = (rig.Status("VmRSS") - before) / 1048576.0 / Idle;
        double sandbox = charged / 1048576.0 / Idle;
        return new(
            "memory of an idle instance, its small program included, MiB", server + sandbox, 2, AtMost: true,
            string.Create(CultureInfo.InvariantCulture, $"server {server:0.00}, sandbox {sandbox:0.00}"));
    }

    internal static async Task<int> CountAsync(BerthRig rig, string function)
    {
        using JsonDocument view = JsonDocument.Parse(await rig.Http.GetStringAsync(
            new Uri($"/v1/functions/{function}", UriKind.Relative)));
        return view.RootElement.GetProperty("instances").GetArrayLength();
    }
}
