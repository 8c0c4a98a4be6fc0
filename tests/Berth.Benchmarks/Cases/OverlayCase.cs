using System.Diagnostics;
using System.Globalization;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>TCP from a program on one node to a program on another, in a network across nodes, beside VXLAN devices of
/// the same kernel between the same two machines that were set up by hand, in turns.</summary>
internal static class OverlayCase
{
    private const int Port = 5001;
    private const double Seconds = 4;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        await using MachinePair machines = await MachinePair.StartAsync();
        int port = BerthRig.FreePort();
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--node-listen", $"{machines.Server}:{port}", "--pool-memory", "0");
        await rig.PushBusyboxAsync();
        await using JoinedNode first = await JoinedNode.StartAsync(
            rig, options, $"{machines.Server}:{port}", "first", machines.NamespaceOf(0));
        await using JoinedNode second = await JoinedNode.StartAsync(
            rig, options, $"{machines.Server}:{port}", "second", machines.NamespaceOf(1));
        await rig.CliAsync("network", "create", "--driver", "overlay", "wide");
        string from = await PlaceAsync(rig, "first");
        string to = await PlaceAsync(rig, "second");
        string target = await AddressOfAsync(to);
        string[] hands = await machines.LayByHandAsync();
        using Process ours = Sink(to);
        using Process theirs = Sink($"/run/netns/{hands[1]}");
        List<double> overlay = [];
        List<double> hand = [];
        try
        {
            for (int round = 0; round < 5; round++)
            {
                hand.Add(await SendAsync($"/run/netns/{hands[0]}", MachinePair.ByHand));
                overlay.Add(await SendAsync(from, target));
            }
        }
        finally
        {
            ours.Kill();
            theirs.Kill();
        }

        string detail = string.Create(
            CultureInfo.InvariantCulture,
            $"ours {string.Join(' ', overlay.Select(o => $"{o / 1e6:0}"))} MB/s; by hand "
            + $"{string.Join(' ', hand.Select(o => $"{o / 1e6:0}"))} MB/s");
        return
        [
            new("median / VXLAN by hand", Median(overlay) / Median(hand), 0.8, AtMost: false, detail),
        ];
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    /// <summary>A program that waits on a node; returns where its network's namespace is.</summary>
    private static async Task<string> PlaceAsync(BerthRig rig, string node)
    {
        HashSet<string> before = Programs();
        await rig.CliAsync(
            "task", "submit", "--constraint", $"node={node}", "--network", "wide", "bench/busybox:1", "sleep", "607");
        while (true)
        {
            if (Programs().Except(before).FirstOrDefault() is { } pid)
            {
                return $"/proc/{pid}/ns/net";
            }

            await Task.Delay(20);
        }
    }

    private static HashSet<string> Programs() =>
    [
        .. Directory.GetDirectories("/proc").Select(p => Path.GetFileName(p)).Where(p => char.IsDigit(p[0]))
            .Where(p => Read($"/proc/{p}/cmdline") == "sleep\0607\0"),
    ];

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static async Task<string> AddressOfAsync(string space) =>
        (await Command.RunAsync("nsenter", $"--net={space}", "--", "ip", "-4", "-o", "addr", "show", "eth0"))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)[3].Split('/')[0];

    private static Process Sink(string space) => Command.Start("nsenter", Self(space, "net-sink", $"{Port}"));

    private static async Task<double> SendAsync(string space, string address)
    {
        for (int tries = 1; ; tries++)
        {
            try
            {
                return double.Parse(
                    await Command.RunAsync(
                        "nsenter",
                        Self(
                            space, "net-source", address, $"{Port}",
                            Seconds.ToString(CultureInfo.InvariantCulture))),
                    CultureInfo.InvariantCulture);
            }
            catch (InvalidOperationException) when (tries < 20)
            {
                // The other end does not listen yet.
                await Task.Delay(200);
            }
        }
    }

    private static IEnumerable<string> Self(string space, params string[] arguments) =>
        [$"--net={space}", "--", Environment.ProcessPath!, .. ProgramOf(Environment.ProcessPath!), .. arguments];

    /// <summary>Where this program is run by dotnet.</summary>
    private static string[] ProgramOf(string process) =>
        Path.GetFileNameWithoutExtension(process) == "dotnet" ? [typeof(OverlayCase).Assembly.Location] : [];
}
