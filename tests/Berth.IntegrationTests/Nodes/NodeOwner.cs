using System.Diagnostics;
using Berth.Api.Nodes;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// A process that owns a node, to be killed at a chosen point of its life. It writes a line for every step, so that a
/// test can kill it right after one.
/// </summary>
internal static class NodeOwner
{
    public const string Role = "own-a-node";

    /// <summary>Starts this executable again in that role.</summary>
    public static Process Start(string folder, string activity)
    {
        var start =
            new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, UseShellExecute = false };
        string self = typeof(NodeOwner).Assembly.Location;
        foreach (string argument in new[] { self, Role, folder, activity })
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    public static async Task<int> RunAsync(string[] arguments)
    {
        string folder = arguments[0];
        var options = new NodeOptions("owner", NodeOptions.InstanceOf(folder))
        {
            Pool = PoolLimits.Default,
            StorageFolder = folder,
        };
        using var images = new BusyboxImages(folder);
        await using var node = new LocalNode(
            options, new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance), images,
            TimeProvider.System,
            NullLogger<LocalNode>.Instance);
        await node.StartAsync(CancellationToken.None);
        await SayAsync("started");
        var spec = new SandboxSpec(images.Plain, NodeFixture.Limits, NetworkMode.None);
        return arguments[1] switch
        {
            "prepare" => await PrepareAsync(node, spec),
            "run" => await RunOneAsync(node, spec),
            "churn-inner" => await ChurnAsync(node, spec with { Family = "family" }),
            _ => await ChurnAsync(node, spec),
        };
    }

    private static async Task<int> PrepareAsync(LocalNode node, SandboxSpec spec)
    {
        node.Expect(spec);
        await Eventually.BecomesTrueAsync(() =>
            node.Status().Sandboxes.Any(s => s.State == "ready"), "a sandbox stands ready");
        await SayAsync("ready");
        await Task.Delay(Timeout.Infinite);
        return 0;
    }

    private static async Task<int> RunOneAsync(LocalNode node, SandboxSpec spec)
    {
        AttemptSpec program = SandboxRuns.Spec(
            spec, "sh", "-c",
            "trap '' TERM; setsid sleep 600 & dd if=/dev/zero of=/full bs=1M count=4 2>&3; echo up; sleep 600");
        await using IAttempt attempt = await node.StartAsync(program, CancellationToken.None);
        using var output = new StreamReader(attempt.Output);
        await SayAsync(await output.ReadLineAsync() ?? "");
        await Task.Delay(Timeout.Infinite);
        return 0;
    }

    private static async Task<int> ChurnAsync(LocalNode node, SandboxSpec spec)
    {
        while (true)
        {
            await node.RunAsync(SandboxRuns.Spec(spec, "true"));
            await SayAsync("ran");
        }
    }

    private static async Task SayAsync(string line)
    {
        await Console.Out.WriteLineAsync(line);
        await Console.Out.FlushAsync();
    }
}
