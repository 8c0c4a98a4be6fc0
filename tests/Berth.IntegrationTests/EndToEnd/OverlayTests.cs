using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Networks across machines, which are namespaces here: who finds whom, what nobody can forge, what is there
/// again after somebody took it away, and that nothing stays.</summary>
[Collection("server")]
public sealed class OverlayTests
{
    [Fact]
    public async Task Programs_on_several_nodes_find_each_other_and_nobody_of_another_network()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", "shop");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", "other");
        await cluster.ServeHereAsync("shop", "web");
        await cluster.ServeOnAsync(two, "shop", "far");

        string asked = await cluster.TryOnAsync(
            one.Name, "shop", "get web 80; get far 80; get far.shop 80; busybox cat /sys/class/net/eth0/mtu");
        string back = await cluster.TryOnAsync("control", "shop", "get far 80");
        string where = await cluster.TryOnAsync(one.Name, "shop", OverlayNetwork.LookUp("far"));
        string address = where.Split(' ')[^1];
        string foreign = await cluster.TryOnAsync(
            one.Name, "other", $"get {address} 80; get far 80; get 10.77.0.2 80; echo nobody");

        Assert.Equal("web\nfar\nfar\n1450", asked);
        Assert.Equal("far", back);
        Assert.Equal("nobody", foreign);
        JsonElement shown = await cluster.NetworkAsync("shop");
        Assert.Equal(
            "control 10.77.0.0/24, two 10.77.1.0/24, one 10.77.2.0/24",
            string.Join(", ", shown.GetProperty("parts").EnumerateArray().Select(
                p => $"{p.GetProperty("node").GetString()} {p.GetProperty("subnet").GetString()}")));
        Assert.StartsWith("10.77.1.", address, StringComparison.Ordinal);
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task Nothing_of_a_stranger_nor_under_another_source_or_number_comes_through_a_tunnel()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess stranger = await cluster.Machines.AddAsync("stranger");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", "shop");
        await BerthAsync(
            cluster, "function", "deploy", "--network", "shop", "--constraint", "node=one", "--timeout", "10m", "ear",
            "demo/net", "busybox", "sleep", "611");
        await BerthAsync(cluster, "function", "invoke", "--async", "ear");
        IPAddress ear = await OverlayNetwork.AddressOfAsync(cluster, "shop", "ear");
        using Listener heard = new($"/proc/{OverlayNetwork.PidOf("busybox\0sleep\0611\0")}/ns/net", 9999);
        int segment = Assert.Single(await OverlayCluster.NetworksOfAsync(one.Pid)).Key;
        IPNetwork control = IPNetwork.Parse("10.77.0.0/24");
        TunnelPacket honest = new(
            segment, control, IPAddress.Parse("10.77.0.9"), IPNetwork.Parse("10.77.1.0/24"), new IPEndPoint(ear, 9999));
        IPEndPoint tunnel = new(IPAddress.Parse(one.Address), TunnelPacket.Port);

        await SendFromAsync(stranger, tunnel, honest.With("stranger\n"));
        await SendFromAsync(stranger, tunnel, (honest with { Segment = segment + 1 }).With("stranger's number\n"));
        using Socket known = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        known.Bind(new IPEndPoint(IPAddress.Parse(cluster.Machines.Server), 0));
        await known.SendToAsync((honest with { Segment = segment + 1 }).With("another number\n"), tunnel);
        await known.SendToAsync(
            (honest with { FromPart = IPNetwork.Parse("10.77.7.0/24") }).With("no machine\n"), tunnel);
        await known.SendToAsync((honest with { From = ear }).With("the ear itself\n"), tunnel);
        await known.SendToAsync((honest with { From = IPAddress.Parse("10.77.7.9") }).With("nobody\n"), tunnel);
        await known.SendToAsync((honest with { From = IPAddress.Parse("8.8.8.8") }).With("the outside\n"), tunnel);
        await known.SendToAsync(
            (honest with { To = new IPEndPoint(IPAddress.Parse("10.77.1.1"), 53) }).With("the resolver\n"), tunnel);
        await known.SendToAsync(honest.With("known\n"), tunnel);

        await Condition.HoldsAsync("what is known was heard", () => heard.All.Length > 0);
        Assert.Equal(["known\n"], heard.All);
        await OverlayNetwork.EndAsync(cluster, one);
    }

    [Fact]
    public async Task A_program_can_not_speak_to_the_tunnels_of_machines()
    {
        await using NamespaceMachines machines = await NamespaceMachines.StartAsync();
        MachineProcess peer = await machines.AddAsync("peer");
        string net = machines.Server[..machines.Server.LastIndexOf('.')];
        await using ServerProcess server = await NetworkServer.StartAsync("--network-allow", net + ".0/24");
        (await server.BerthAsync("network", "create", "--egress", $"allow:{net}.0/24", "open")).Succeed();
        using Listener tunnel = new($"/run/netns/{peer.Namespace}", TunnelPacket.Port);
        using Listener other = new($"/run/netns/{peer.Namespace}", TunnelPacket.Port + 1);

        await Condition.HoldsAsync("the other port hears", async () =>
        {
            (await server.BerthAsync(
                "run", "--network", "open", "demo/net", "bash", "-c",
                $"echo x > /dev/udp/{peer.Address}/{TunnelPacket.Port}; "
                + $"echo x > /dev/udp/{peer.Address}/{TunnelPacket.Port + 1}")).Succeed();
            return other.All.Length > 0 ? null : "nothing";
        });

        Assert.Empty(tunnel.All);
        (await server.BerthAsync("network", "prune")).Succeed();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task What_somebody_took_away_is_there_again_and_a_killed_node_comes_back()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        await BerthAsync(cluster, "network", "create", "--driver", "overlay", "shop");
        await cluster.ServeHereAsync("shop", "web");
        await cluster.AnswersAsync("one", "shop", "web");
        foreach (int pid in (int[])[cluster.Server.Pid, one.Pid])
        {
            (int segment, string space) = Assert.Single(await OverlayCluster.NetworksOfAsync(pid));
            await NamespaceMachines.EnterAsync(space, "link", "del", $"vx{segment:x6}");
            await cluster.AnswersAsync("one", "shop", "web");
        }

        await one.KillAsync();
        one.Join(cluster.NodeAddress);
        await cluster.ReadyAsync(one);
        await cluster.AnswersAsync("one", "shop", "web");
        await cluster.Server.KillAsync();
        await cluster.Server.StartAsync(
            "--node-listen", $"{cluster.Machines.Server}:{cluster.Server.Port + 1}", "--node-name", "control",
            "--pool-memory", "0");
        await cluster.ReadyAsync(one);
        (await cluster.Server.BerthAsync("start", "web")).Succeed();
        await cluster.AnswersAsync("one", "shop", "web");
        await OverlayNetwork.EndAsync(cluster, one);
    }

    private static async Task SendFromAsync(MachineProcess machine, IPEndPoint to, byte[] packet) =>
        (await Tool.RunAsync(
            "/usr/bin/nsenter",
            [
                $"--net=/run/netns/{machine.Namespace}", "/bin/bash", "-c",
                $"cat > /dev/udp/{to.Address}/{to.Port}",
            ],
            packet)).Succeed();

    private static async Task<string> BerthAsync(OverlayCluster cluster, params string[] arguments) =>
        (await cluster.Server.BerthAsync(arguments)).Succeed();
}
