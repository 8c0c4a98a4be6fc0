using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Published ports of containers on other machines, which are network namespaces here.</summary>
[Collection("server")]
public sealed class ClusterPortTests
{
    [Fact]
    public async Task A_published_port_is_the_machine_s_that_the_container_is_on()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "shop");
        await RunAsync(cluster, "web", "one", "-p", "8080:80", "-p", "127.0.0.1:8081:80");
        await RunAsync(cluster, "other", "two", "-p", "8080:80");

        Assert.Equal("web", await PageAsync(one.Address, 8080));
        Assert.Equal("other", await PageAsync(two.Address, 8080));
        Assert.Equal("web", await PageOnAsync(one, "127.0.0.1", 8081));
        Assert.Equal("", await PageAsync(one.Address, 8081));
        Assert.Equal("", await PageAsync(cluster.Machines.Server, 8080));
        Assert.Equal("", await PageOnAsync(two, "127.0.0.1", 8081));
        await DatagramsAsync(cluster, one);

        // With its link cut it is served all the same.
        await one.CutAsync();
        await Condition.HoldsAsync("nothing is known of it", async () =>
            await BerthAsync(cluster, "ps") is var seen && seen.Contains("Unknown", StringComparison.Ordinal)
                ? null : seen);
        Assert.Equal("web", await PageOnAsync(one, "127.0.0.1", 8081));
        await one.MendAsync();
        await cluster.ReadyAsync(one);
        await BerthAsync(cluster, "rm", "-f", "web", "other");
        await Condition.HoldsAsync(
            "nobody answers", async () => await PageAsync(one.Address, 8080) is "" ? null : "somebody does");
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task A_port_that_is_taken_there_is_refused_by_name_and_had_once_it_is_free()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "shop");
        await RunAsync(cluster, "web", "one", "-p", "8080:80");

        ToolResult refused = await cluster.Server.BerthAsync(Words("late", "one", "-p", "8080:80"));
        string left = await BerthAsync(cluster, "ps", "-a");
        await BerthAsync(cluster, "rm", "-f", "web");
        await BerthAsync(cluster, "start", "late");
        await Condition.HoldsAsync("the other answers", async () =>
            await PageAsync(one.Address, 8080) is var page && page == "late" ? null : page);

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains(
            "Node 'one': Port 8080 of the machine can't be published: Address already in use. Choose another one, or "
            + "end what has it.",
            refused.Error, StringComparison.Ordinal);
        Assert.Matches("late +", left);
        // What is moved takes its port along.
        MachineProcess two = await cluster.JoinAsync("two");
        await BerthAsync(cluster, "rm", "-f", "late");
        await BerthAsync(cluster, "node", "cordon", "control");
        await BerthAsync(cluster, "node", "cordon", "two");
        await BerthAsync(
            cluster, "run", "-d", "--name", "web", "--restart", "always", "--network", "shop", "-p", "8080:80",
            "demo/net", "sh", "-c", NetworkServer.Serve("web"));
        await BerthAsync(cluster, "node", "uncordon", "two");
        ToolResult drained = await cluster.Server.BerthAsync("node", "drain", "one");
        await Condition.HoldsAsync("it answers on the other machine", async () =>
            await PageAsync(two.Address, 8080) is var page && page == "web" ? null : page);

        Assert.Equal("one", drained.Succeed());
        Assert.Contains("The container web goes to another node.", drained.Error, StringComparison.Ordinal);
        Assert.Equal("", await PageAsync(one.Address, 8080));
        await BerthAsync(cluster, "rm", "-f", "web");
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    private static async Task DatagramsAsync(OverlayCluster cluster, MachineProcess node)
    {
        await BerthAsync(
            cluster, "run", "-d", "--name", "ear", "--node", node.Name, "--network", "shop", "-p", "9000:7/udp",
            "demo/net", "busybox", "sleep", "641");
        using Listener heard = new($"/proc/{OverlayNetwork.PidOf("busybox\0sleep\0641\0")}/ns/net", 7);
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(IPAddress.Parse(node.Address), 9000);
        await socket.SendAsync(Encoding.ASCII.GetBytes("a datagram\n"));
        await Condition.HoldsAsync("it was heard", () => heard.All.Length > 0);
        Assert.Equal(["a datagram\n"], heard.All);
        await BerthAsync(cluster, "rm", "-f", "ear");
    }

    private static string[] Words(string name, string node, params string[] ports) =>
    [
        "run", "-d", "--name", name, "--node", node, "--network", "shop", .. ports, "demo/net", "sh", "-c",
        NetworkServer.Serve(name),
    ];

    private static async Task RunAsync(OverlayCluster cluster, string name, string node, params string[] ports)
    {
        await BerthAsync(cluster, Words(name, node, ports));
        await cluster.AnswersAsync(node, "shop", name);
    }

    private static async Task<string> BerthAsync(OverlayCluster cluster, params string[] words) =>
        (await cluster.Server.BerthAsync(words)).Succeed();

    /// <summary>What a web server there has; empty where nobody answers.</summary>
    private static async Task<string> PageAsync(string address, int port) => (await Tool.RunAsync(
        "/usr/bin/curl", ["-sS", "-m", "5", $"http://{address}:{port}/page"], [])).Text.Trim();

    private static async Task<string> PageOnAsync(MachineProcess machine, string address, int port) =>
        (await Tool.RunAsync(
            "/usr/bin/nsenter",
            [
                $"--net=/run/netns/{machine.Namespace}", "/usr/bin/curl", "-sS", "-m", "5",
                $"http://{address}:{port}/page",
            ], [])).Text.Trim();
}
