using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>What many containers cost the server, how long listing them takes, and <c>exec</c> beside runc's.</summary>
internal static class ContainerCase
{
    private const int Running = 500;
    private const int Listed = 1000;
    private const int Rounds = 41;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using BerthRig rig = await BerthRig.StartAsync(options);
        await rig.PushBusyboxAsync();
        await using ReferenceBundle bundle = await ReferenceBundle.CreateAsync(rig, "sleep", "86400");
        using BerthClient client = new(new Uri($"http://127.0.0.1:{rig.Port}"), rig.Token, TimeProvider.System);
        List<Figure> figures = [.. await ExecAsync(rig, client, bundle)];
        long before = rig.Status("VmRSS");
        await MakeAsync(client, Running - 1, start: true);
        // What the starts themselves left goes first; what stays is the price of the containers.
        await Task.Delay(TimeSpan.FromSeconds(10));
        figures.Add(new(
            $"growth of the server's memory with {Running} idle containers, MiB",
            (rig.Status("VmRSS") - before) / 1048576.0, 100, AtMost: true, $"from {before / 1048576.0:0} MiB"));
        await MakeAsync(client, Listed - Running, start: false);
        Samples lists = new();
        for (int i = 0; i < 11; i++)
        {
            lists.Add(await Command.TimeAsync(
                "sh", "-c", $"{Line(rig, "ps -a")} | grep -c busybox | grep -qx {Listed}"));
        }

        figures.Add(new($"ps -a of {Listed}, seconds", lists.P50 / 1000, 0.2, AtMost: true, $"{lists}"));
        return figures;
    }

    private static async Task<IReadOnlyList<Figure>> ExecAsync(
        BerthRig rig, BerthClient client, ReferenceBundle bundle)
    {
        await MakeAsync(client, 1, start: true);
        string name = (await client.Containers.ListAsync(new ContainerFilter(), default).FirstAsync()).Name;
        await bundle.BeginAsync("sleeping");
        Samples reference = new();
        Samples requests = new();
        Samples commands = new();
        try
        {
            for (int i = 0; i < Rounds; i++)
            {
                reference.Add(await Command.TimeAsync("runc", "--root", bundle.State, "exec", "sleeping", "true"));
                requests.Add(await RequestAsync(client, name));
                commands.Add(await Command.TimeAsync("sh", "-c", "exec " + Line(rig, $"exec {name} true")));
            }
        }
        finally
        {
            await bundle.EndAsync("sleeping");
        }

        return
        [
            new("exec over HTTP / runc exec, p50", requests.P50 / reference.P50, 1.5, AtMost: true,
                $"ours {requests}; runc {reference}"),
            new("the command 'berth exec' / runc exec, p50", commands.P50 / reference.P50, 1.5, AtMost: true,
                $"ours {commands}"),
        ];
    }

    private static async Task<TimeSpan> RequestAsync(BerthClient client, string name)
    {
        long start = TimeProvider.System.GetTimestamp();
        await using ProgramConnection program = await client.Containers.ExecuteAsync(
            name, new ExecRequest(["true"]), null, default);
        while (await program.ReadAsync(default) is not null)
        {
            // It writes nothing; this is its end.
        }

        return program.ExitCode == 0
            ? TimeProvider.System.GetElapsedTime(start)
            : throw new InvalidOperationException($"exec ended with {program.ExitCode}: {program.Message}");
    }

    private static Task MakeAsync(BerthClient client, int count, bool start) =>
        Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (_, cancellation) =>
        {
            ContainerView made = await client.Containers.CreateAsync(
                new ContainerRequest("bench/busybox:1", Arguments: ["sleep", "86400"]), cancellation);
            if (start)
            {
                await client.Containers.StartAsync(made.Id, cancellation);
            }
        });

    private static string Line(BerthRig rig, string command) =>
        $"env BERTH_HOST=http://127.0.0.1:{rig.Port} BERTH_TOKEN={rig.Token} {rig.Executable} {command}";
}
