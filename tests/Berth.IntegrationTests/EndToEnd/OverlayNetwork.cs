using System.Net;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What tests of networks across machines look at, and how they end.</summary>
internal static class OverlayNetwork
{
    /// <summary>Of a function's program, once it can be found.</summary>
    public static async Task<IPAddress> AddressOfAsync(OverlayCluster cluster, string network, string name)
    {
        IPAddress? address = null;
        await Condition.HoldsAsync($"{name} is found", async () =>
        {
            string told = await cluster.TryOnAsync("control", network, LookUp(name));
            return IPAddress.TryParse(told.Split(' ')[^1], out address) ? null : told;
        });
        return address!;
    }

    /// <summary>A script whose last word is the address.</summary>
    public static string LookUp(string name) =>
        $"busybox nslookup {name} | busybox grep -A 1 Name: | busybox tail -n 1";

    /// <summary>Of the only program on this machine that has such a command line.</summary>
    public static int PidOf(string command) => Directory.GetDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _) && CommandOf(d) == command)
        .Select(d => int.Parse(Path.GetFileName(d))).Single();

    /// <summary>Starts a program on a node that does nothing for so many seconds; returns the path of its network's
    /// namespace.</summary>
    public static async Task<string> SleepOnAsync(OverlayCluster cluster, string node, string network, int seconds)
    {
        string name = $"sleeper-{seconds}";
        (await cluster.Server.BerthAsync(
            "function", "deploy", "--network", network, "--constraint", $"node={node}", "--timeout", "10m", name,
            "demo/net", "busybox", "sleep", $"{seconds}")).Succeed();
        (await cluster.Server.BerthAsync("function", "invoke", "--async", name)).Succeed();
        await AddressOfAsync(cluster, network, name);
        return $"/proc/{PidOf($"busybox\0sleep\0{seconds}\0")}/ns/net";
    }

    /// <summary>Takes everything away, and looks whether it is gone from every machine.</summary>
    public static async Task EndAsync(OverlayCluster cluster, params MachineProcess[] nodes)
    {
        foreach (string kind in (string[])["container", "function"])
        {
            string[] names = (await BerthAsync(
                cluster, kind == "container" ? ["ps", "-a", "-q"] : ["function", "ls", "-q"]))
                .Split('\n', StringSplitOptions.RemoveEmptyEntries);
            if (names.Length > 0)
            {
                await BerthAsync(cluster, kind == "container" ? ["rm", "-f", .. names] : ["function", "rm", .. names]);
            }
        }

        foreach (string network in (await BerthAsync(cluster, "network", "ls", "-q"))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            await BerthAsync(cluster, "network", "rm", network);
        }

        Assert.Empty(await OverlayCluster.NetworksOfAsync(cluster.Server.Pid));
        foreach (MachineProcess node in nodes)
        {
            await BerthAsync(cluster, "node", "drain", node.Name, "--timeout", "0s");
            await Condition.HoldsAsync(
                $"{node.Name} has no network any more",
                async () => (await OverlayCluster.NetworksOfAsync(node.Pid)).Count == 0 ? null : node.Log);
        }

        Assert.Equal(0, await cluster.Server.StopAsync());
        await ServerTraces.AreGoneAsync(cluster.Server);
    }

    private static async Task<string> BerthAsync(OverlayCluster cluster, params string[] arguments) =>
        (await cluster.Server.BerthAsync(arguments)).Succeed();

    private static string CommandOf(string folder)
    {
        try
        {
            return File.ReadAllText(folder + "/cmdline");
        }
        catch (IOException)
        {
            // It has ended.
            return "";
        }
    }
}
