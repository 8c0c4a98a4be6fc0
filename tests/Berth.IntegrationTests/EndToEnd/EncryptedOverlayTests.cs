using System.Net;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Encrypted networks across machines, which are namespaces here: what passes by on the wire between them, and
/// machines that can't.</summary>
[Collection("server")]
public sealed class EncryptedOverlayTests
{
    private const string Secret = "what-nobody-else-may-read";
    private const string Open = "what-everybody-may-read";
    private const int Clear = TunnelPacket.Port;
    private const int FirstPort = 7072;

    [Fact]
    public async Task Nothing_of_an_encrypted_network_is_on_the_wire_and_everything_arrives()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await MakeAsync(cluster, "safe", "--encrypted");
        await MakeAsync(cluster, "plain");
        await using PacketSocket wire = new("/proc/self/ns/net", f => PacketSocket.DatagramOf(f) is not null);

        await cluster.ServeOnAsync(one, "safe", Secret);
        string asked = await cluster.TryOnAsync(
            two.Name, "safe", $"get {Secret} 80; busybox cat /sys/class/net/eth0/mtu");
        string near = await cluster.TryOnAsync("control", "safe", $"get {Secret} 80");
        Wire seen = new(wire, cluster);

        Assert.Equal($"{Secret}\n1390", asked);
        Assert.Equal(Secret, near);
        Assert.True(seen.Encrypted > 10, $"{seen}");
        Assert.Equal((0, 0), (seen.InClear, seen.WithSecret));

        // The like is seen where it is not encrypted: it was looked for rightly.
        await cluster.ServeOnAsync(one, "plain", Open);
        Assert.Equal(Open, await cluster.TryOnAsync(two.Name, "plain", $"get {Open} 80"));
        Wire other = new(wire, cluster);
        Assert.True(other.InClear > 10 && other.WithOpen > 0, $"{other}");
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task What_encrypts_is_there_again_after_it_was_killed_and_nothing_goes_in_clear_meanwhile()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await MakeAsync(cluster, "safe", "--encrypted");
        await cluster.ServeOnAsync(one, "safe", Secret);
        await cluster.AnswersAsync(two.Name, "safe", Secret);
        await using PacketSocket wire = new("/proc/self/ns/net", f => PacketSocket.DatagramOf(f) is not null);

        Encryptors.Kill(one.Instance);
        await cluster.AnswersAsync(two.Name, "safe", Secret);
        // Another key than before.
        await two.KillAsync();
        await Condition.HoldsAsync("what encrypted went with its node", () => !Encryptors.AreThere(two.Instance));
        two.Join(cluster.NodeAddress);
        await cluster.ReadyAsync(two);
        await cluster.AnswersAsync(two.Name, "safe", Secret);

        Wire seen = new(wire, cluster);
        Assert.True(seen.Encrypted > 10, $"{seen}");
        Assert.Equal((0, 0), (seen.InClear, seen.WithSecret));
        await OverlayNetwork.EndAsync(cluster, one, two);
        foreach (MachineProcess node in (MachineProcess[])[one, two])
        {
            await node.StopAsync();
            Assert.False(Encryptors.AreThere(node.Instance));
        }
    }

    [Fact]
    public async Task A_packet_in_clear_or_of_a_stranger_is_not_heard()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        await MakeAsync(cluster, "safe", "--encrypted");
        (await cluster.Server.BerthAsync(
            "function", "deploy", "--network", "safe", "--constraint", "node=one", "--timeout", "10m", "ear",
            "demo/net", "busybox", "sleep", "613")).Succeed();
        (await cluster.Server.BerthAsync("function", "invoke", "--async", "ear")).Succeed();
        IPAddress ear = await OverlayNetwork.AddressOfAsync(cluster, "safe", "ear");
        using Listener heard = new($"/proc/{OverlayNetwork.PidOf("busybox\0sleep\0613\0")}/ns/net", 9999);
        int segment = Assert.Single(await OverlayCluster.NetworksOfAsync(one.Pid)).Key;
        TunnelPacket forged = new(
            segment, IPNetwork.Parse("10.77.0.0/24"), IPAddress.Parse("10.77.0.9"), IPNetwork.Parse("10.77.1.0/24"),
            new IPEndPoint(ear, 9999));

        // All is right but that it is in clear, from the machine that it says.
        await SendAsync(cluster, new IPEndPoint(IPAddress.Parse(one.Address), Clear), forged.With("in clear\n"));
        await SendAsync(cluster, new IPEndPoint(IPAddress.Parse(one.Address), FirstPort), forged.With("noise\n"));
        await Condition.HoldsAsync("what a program of the network says is heard", async () =>
        {
            await cluster.TryOnAsync("control", "safe", $"echo known > /dev/udp/{ear}/9999");
            return heard.All.Length > 0 ? null : "nothing";
        });

        Assert.All(heard.All, text => Assert.Equal("known\n", text));
        await OverlayNetwork.EndAsync(cluster, one);
    }

    [Fact]
    public async Task A_node_that_can_not_encrypt_is_no_place_for_such_a_network()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one", ("PATH", "/nowhere"));
        await MakeAsync(cluster, "safe", "--encrypted");
        await MakeAsync(cluster, "plain");

        string id = (await cluster.Server.BerthAsync(
            "task", "submit", "--constraint", "node=one", "--network", "safe", "demo/net", "true")).Succeed();
        string why = "";
        await Condition.HoldsAsync("it is told why", async () =>
        {
            why = (await cluster.Server.BerthAsync("why", id)).Text;
            return why.Contains("missing wireguard 1 (one)", StringComparison.Ordinal) ? null : why;
        });
        string plain = await cluster.TryOnAsync("one", "plain", "echo there");

        Assert.Equal("there", plain);
        JsonElement shown = await cluster.NetworkAsync("safe");
        Assert.Equal(
            ["control"], shown.GetProperty("parts").EnumerateArray().Select(p => p.GetProperty("node").GetString()));
        Assert.True(shown.GetProperty("encrypted").GetBoolean());
        (await cluster.Server.BerthAsync("task", "cancel", id)).Succeed();
        await OverlayNetwork.EndAsync(cluster, one);
    }

    [Fact]
    public async Task A_server_that_can_not_encrypt_makes_no_such_network()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync([], [("PATH", "/nowhere")]);

        ToolResult refused = await cluster.Server.BerthAsync(
            "network", "create", "--driver", "overlay", "--encrypted", "safe");
        ToolResult bridge = await cluster.Server.BerthAsync("network", "create", "--encrypted", "safe");

        Assert.Contains("load the kernel's module wireguard, or install wireguard-go", refused.Error,
            StringComparison.Ordinal);
        Assert.Contains("give driver = overlay", bridge.Error, StringComparison.Ordinal);
        Assert.Equal((71, 64), (refused.ExitCode, bridge.ExitCode));
        Assert.Equal("", (await cluster.Server.BerthAsync("network", "ls", "-q")).Succeed());
        await OverlayNetwork.EndAsync(cluster);
    }

    private static async Task MakeAsync(OverlayCluster cluster, string name, params string[] options)
    {
        Assert.SkipUnless(Encryptors.IsInstalled, "wireguard-go is not installed: run eng/prerequisites.sh test.");
        (await cluster.Server.BerthAsync(
            ["network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", .. options, name])).Succeed();
    }

    private static async Task SendAsync(OverlayCluster cluster, IPEndPoint to, byte[] packet)
    {
        using System.Net.Sockets.Socket known = new(
            System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Dgram,
            System.Net.Sockets.ProtocolType.Udp);
        known.Bind(new IPEndPoint(IPAddress.Parse(cluster.Machines.Server), 0));
        await known.SendToAsync(packet, to);
    }

    /// <summary>What has passed between the machines.</summary>
    private sealed record Wire
    {
        public Wire(PacketSocket socket, OverlayCluster cluster)
        {
            string net = cluster.Machines.Server[..(cluster.Machines.Server.LastIndexOf('.') + 1)];
            foreach (byte[] frame in socket.All)
            {
                if (PacketSocket.DatagramOf(frame) is not { } datagram
                    || !datagram.From.ToString().StartsWith(net, StringComparison.Ordinal)
                    || !datagram.To.ToString().StartsWith(net, StringComparison.Ordinal))
                {
                    continue;
                }

                InClear += datagram.Port == Clear ? 1 : 0;
                Encrypted += datagram.Port is >= FirstPort and < FirstPort + 8 ? 1 : 0;
                WithSecret += PacketSocket.Holds(frame, Secret) ? 1 : 0;
                WithOpen += PacketSocket.Holds(frame, Open) ? 1 : 0;
            }
        }

        public int InClear { get; }

        public int Encrypted { get; }

        public int WithSecret { get; }

        public int WithOpen { get; }
    }
}

/// <summary>Processes and devices that encrypt.</summary>
internal static class Encryptors
{
    private const string Program = "wireguard-go";

    public static bool IsInstalled => Directory.Exists("/sys/module/wireguard")
        || (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists($"{f}/{Program}"));

    public static void Kill(string instance)
    {
        foreach (int pid in Pids(instance))
        {
            using System.Diagnostics.Process process = System.Diagnostics.Process.GetProcessById(pid);
            process.Kill();
        }
    }

    public static bool AreThere(string instance) =>
        Pids(instance).Length > 0 || File.Exists($"/var/run/wireguard/bw{instance}.sock");

    private static int[] Pids(string instance) => Directory.GetDirectories("/proc")
        .Select(d => int.TryParse(Path.GetFileName(d), out int pid) ? pid : 0)
        .Where(pid => pid > 0 && IsOne(pid, instance)).ToArray();

    private static bool IsOne(int pid, string instance)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline")
                .EndsWith($"{Program}\0-f\0bw{instance}\0", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
