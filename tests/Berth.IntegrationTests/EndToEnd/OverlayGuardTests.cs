using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Core.Networks;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Networks across machines, which are namespaces here: what programs in them must not reach or forge, and
/// what must arrive whole.</summary>
[Collection("server")]
public sealed class OverlayGuardTests
{
    /// <summary>Of a program's interface.</summary>
    private const int Eth0 = 100;

    [Fact]
    public async Task Datagrams_of_every_size_arrive_whole_from_node_to_node_and_through_published_ports()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await MakeAsync(cluster.Server, "shop");
        string from = await OverlayNetwork.SleepOnAsync(cluster, "one", "shop", 621);
        string to = await OverlayNetwork.SleepOnAsync(cluster, "two", "shop", 622);
        IPAddress target = await OverlayNetwork.AddressOfAsync(cluster, "shop", "sleeper-622");
        int port = FreePort();
        (await cluster.Server.BerthAsync(
            "run", "-d", "--name", "published", "--network", "shop", "-p", $"127.0.0.1:{port}:7/udp", "demo/net",
            "busybox", "sleep", "623")).Succeed();
        string published = $"/proc/{OverlayNetwork.PidOf("busybox\0sleep\0623\0")}/ns/net";

        // What a packet of 1450 bytes holds, one more, pages, and the most that there is (RFC 768).
        foreach (int size in (int[])[1, 1422, 1423, 4096, 9000, 65_507])
        {
            await EchoAsync(from, to, new IPEndPoint(target, 7), 7, size);
            await EchoAsync("/proc/self/ns/net", published, new IPEndPoint(IPAddress.Loopback, port), 7, size);
        }

        // A stream's packets are as large as they may be.
        string sum = await cluster.TryOnAsync("control", "shop", Page(3_000_000) + " | busybox md5sum");
        (await cluster.Server.BerthAsync(
            "function", "deploy", "--network", "shop", "--constraint", "node=two", "--timeout", "10m", "pages",
            "demo/net", "sh", "-c", Page(3_000_000) + " > /page; exec busybox httpd -f -p 80 -h /")).Succeed();
        (await cluster.Server.BerthAsync("function", "invoke", "--async", "pages")).Succeed();
        await Condition.HoldsAsync("the page arrives whole", async () =>
        {
            string got = await cluster.TryOnAsync(
                "one", "shop", "busybox wget -q -O - http://pages/page | busybox md5sum");
            return got == sum ? null : got;
        });
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task Nobody_in_a_network_can_pass_for_its_gateway_a_neighbour_a_router_or_a_server_of_addresses()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        await MakeAsync(cluster.Server, "shop");
        string liar = await OverlayNetwork.SleepOnAsync(cluster, "one", "shop", 631);
        string victim = await OverlayNetwork.SleepOnAsync(cluster, "one", "shop", 632);
        IPAddress liarAddress = await OverlayNetwork.AddressOfAsync(cluster, "shop", "sleeper-631");
        IPAddress victimAddress = await OverlayNetwork.AddressOfAsync(cluster, "shop", "sleeper-632");
        byte[] own = await PhysicalAsync(liar);
        byte[] other = [0x02, 0, 0, 0, 0, 0x42];
        IPAddress gateway = AddressPool.At(new IPNetwork(IPAddress.Parse("10.77.1.0"), 24), 1);
        await using PacketSocket speaks = new(liar, _ => false);
        await using PacketSocket hears = new(victim, _ => true);
        SpoofedFrames frames = new(own, other, liarAddress, victimAddress, gateway);

        foreach (byte[] forged in frames.Forged)
        {
            speaks.Send(Eth0, forged);
        }

        speaks.Send(Eth0, frames.Honest);
        await Condition.HoldsAsync("what is honest was heard", () => hears.All.Any(f => Holds(f, "honest")));

        Assert.DoesNotContain(hears.All, f => Holds(f, SpoofedFrames.Mark));
        string neighbours = (await Tool.RunAsync(
            "/usr/bin/nsenter", [$"--net={victim}", "--", NamespaceMachines.Ip, "neigh"], [])).Succeed();
        Assert.DoesNotContain("02:00:00:00:00:42", neighbours, StringComparison.Ordinal);
        await OverlayNetwork.EndAsync(cluster, one);
    }

    [Fact]
    public async Task Tenants_with_the_same_addresses_on_the_same_nodes_have_nothing_of_each_other()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        Tenant[] tenants = [await Tenant.NewAsync(cluster, "red"), await Tenant.NewAsync(cluster, "blue")];
        foreach (Tenant tenant in tenants)
        {
            await tenant.BerthAsync(
                "network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", tenant.Name + "-net");
            foreach (string node in (string[])["one", "two"])
            {
                await tenant.ServeAsync(node);
            }
        }

        foreach (Tenant tenant in tenants)
        {
            string foreign = tenant.Name == "red" ? "blue" : "red";
            foreach (string node in (string[])["one", "two"])
            {
                string heard = await tenant.TryAsync(
                    node,
                    $"get {tenant.Name}-one 80; get {tenant.Name}-two 80; get {foreign}-one 80; get {foreign}-two 80; "
                    + "for part in 0 1 2; do for host in 2 3 4 5 6 7 8 9; do get 10.77.$part.$host 80 & done; done; "
                    + "wait; echo all");
                string[] lines = heard.Split('\n');

                Assert.Equal([$"{tenant.Name}-one", $"{tenant.Name}-two"], lines[..2]);
                Assert.Contains($"{tenant.Name}-two", lines[2..]);
                Assert.DoesNotContain(foreign, heard, StringComparison.Ordinal);
            }
        }

        ToolResult entered = await tenants[0].RunAsync("run", "--network", "blue-net", "demo/net", "true");
        Assert.Contains("no network 'blue-net' of yours", entered.Error, StringComparison.Ordinal);
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task Programs_on_a_node_reach_nothing_of_the_machines_and_resolve_what_is_outside()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync();
        MachineProcess one = await cluster.JoinAsync("one");
        MachineProcess two = await cluster.JoinAsync("two");
        await MakeAsync(cluster.Server, "shop");
        await MakeAsync(cluster.Server, "hidden", "--internal");
        using Door service = new($"/run/netns/{one.Namespace}", 8080);
        using Door metadata = await Door.MetadataAsync(one);
        await using Names names = await Names.OnAsync(one, "www.example.org", IPAddress.Parse("93.184.216.34"));
        string server = cluster.Machines.Server;
        int gate = cluster.Server.Port + 1;
        await Condition.HoldsAsync(
            "the machine itself is answered",
            async () => (await OnMachineAsync(one, $"echo > /dev/tcp/{one.Address}/8080")).ExitCode == 0
                && (await OnMachineAsync(one, "echo > /dev/tcp/169.254.169.254/80")).ExitCode == 0
                && (await OnMachineAsync(one, $"echo > /dev/tcp/{server}/{gate}")).ExitCode == 0
                ? null
                : "it is not");
        Assert.Equal("here", await cluster.TryOnAsync("one", "shop", "echo here"));
        string cable = (await OnMachineAsync(
            one, "ip -o -4 addr | grep bn | head -n 1")).Text;

        string said = await cluster.TryOnAsync(
            "one", "shop",
            "try() { busybox timeout 3 bash -c \"echo > /dev/tcp/$1/$2\" 2>/dev/null && echo \"reached $1 $2\"; }; "
            + $"try {one.Address} 8080 & try {two.Address} 22 & try {server} {gate} & try {server} "
            + $"{cluster.Server.Port} & try 169.254.169.254 80 & try 10.77.2.1 8080 & try 127.0.0.1 8080 & "
            + "try 10.77.1.1 8080 & try 10.77.0.1 53 & "
            + $"try {CableOf(cable)} 8080 & wait; "
            + OverlayNetwork.LookUp("www.example.org") + "; busybox nslookup nobody.example.org | busybox tail -n 2");
        string hidden = await cluster.TryOnAsync(
            "one", "hidden", "busybox nslookup www.example.org | busybox tail -n 2");

        Assert.StartsWith("Address: 93.184.216.34\n", said, StringComparison.Ordinal);
        Assert.DoesNotContain("reached", said, StringComparison.Ordinal);
        Assert.Contains("NXDOMAIN", said, StringComparison.Ordinal);
        Assert.Contains("NXDOMAIN", hidden, StringComparison.Ordinal);
        Assert.Equal(["www.example.org"], names.Asked.Where(n => n.StartsWith("www", StringComparison.Ordinal)));
        await OverlayNetwork.EndAsync(cluster, one, two);
    }

    [Fact]
    public async Task A_machine_that_forwards_nothing_carries_networks_all_the_same_and_is_left_as_it_was()
    {
        await using OverlayCluster cluster = await OverlayCluster.StartAsync("--network-allow", "10.0.0.0/8");
        MachineProcess one = await cluster.Machines.AddAsync("one");
        MachineProcess world = await cluster.Machines.AddAsync("world");
        // As Docker does.
        await OnMachineAsync(one, "iptables -P FORWARD DROP");
        string before = (await OnMachineAsync(one, "iptables -S FORWARD")).Succeed();
        await cluster.JoinAsync(one);
        using Door web = new($"/run/netns/{world.Namespace}", 80);
        await MakeAsync(cluster.Server, "open", "--egress", $"allow:{world.Address}");
        await cluster.ServeHereAsync("open", "web");

        string said = await cluster.TryOnAsync(
            "one", "open", $"get web 80; echo > /dev/tcp/{world.Address}/80 && echo out");
        string during = (await OnMachineAsync(one, "iptables -S FORWARD")).Succeed();
        await OverlayNetwork.EndAsync(cluster, one);
        await one.StopAsync();

        Assert.Equal("-P FORWARD DROP", before);
        Assert.Equal("web\nout", said);
        Assert.Contains($"-i bn{one.Instance}+", during, StringComparison.Ordinal);
        Assert.Equal(before, (await OnMachineAsync(one, "iptables -S FORWARD")).Succeed());
    }

    private static async Task MakeAsync(ServerProcess server, string name, params string[] options) =>
        (await server.BerthAsync(
            ["network", "create", "--driver", "overlay", "--subnet", "10.77.0.0/16", .. options, name])).Succeed();

    /// <summary>Sends from one namespace to a port in another, which answers with the same.</summary>
    private static async Task EchoAsync(string from, string to, IPEndPoint target, int port, int size)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        using Socket there = SocketIn(to, SocketType.Dgram, ProtocolType.Udp);
        there.Bind(new IPEndPoint(IPAddress.Any, port));
        using Socket here = SocketIn(from, SocketType.Dgram, ProtocolType.Udp);
        byte[] sent = [.. Enumerable.Range(0, size).Select(i => (byte)(i * 31))];
        byte[] buffer = new byte[66_000];
        await here.ConnectAsync(target, limit.Token);
        await here.SendAsync(sent, limit.Token);
        SocketReceiveFromResult got = await there.ReceiveFromAsync(
            buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), limit.Token);
        Assert.True(sent.AsSpan().SequenceEqual(buffer.AsSpan(0, got.ReceivedBytes)), $"{size} bytes came otherwise");
        await there.SendToAsync(sent, SocketFlags.None, got.RemoteEndPoint, limit.Token);
        int back = await here.ReceiveAsync(buffer, limit.Token);
        Assert.True(sent.AsSpan().SequenceEqual(buffer.AsSpan(0, back)), $"{size} bytes came back otherwise");
    }

    private static Socket SocketIn(string space, SocketType type, ProtocolType protocol)
    {
        using FileDescriptor there = new(Libc.Open(space, Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        return NetworkNamespace.MakeSocket(there, type, protocol);
    }

    private static string Page(int size) => $"busybox yes 0123456789abcdef | busybox head -c {size}";

    private static int FreePort()
    {
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    private static async Task<byte[]> PhysicalAsync(string space)
    {
        string told = (await Tool.RunAsync(
            "/usr/bin/nsenter", [$"--net={space}", "--", NamespaceMachines.Ip, "-o", "link", "show", "eth0"], []))
            .Succeed();
        string[] words = told.Split(' ');
        return Convert.FromHexString(words[Array.IndexOf(words, "link/ether") + 1].Replace(":", ""));
    }

    private static bool Holds(byte[] frame, string text) => PacketSocket.Holds(frame, text);

    private static Task<ToolResult> OnMachineAsync(MachineProcess machine, string script) => Tool.RunAsync(
        "/usr/bin/nsenter", [$"--net=/run/netns/{machine.Namespace}", "--", "/bin/bash", "-c", script], []);

    /// <summary>The machine's end, of a line of <c>ip -o addr</c>.</summary>
    private static string CableOf(string line) =>
        line.Split(' ', StringSplitOptions.RemoveEmptyEntries).SkipWhile(w => w != "inet").ElementAt(1).Split('/')[0];

    /// <summary>Somebody whose token made a network.</summary>
    private sealed record Tenant(OverlayCluster Cluster, string Name, string Token)
    {
        public static async Task<Tenant> NewAsync(OverlayCluster cluster, string name) => new(
            cluster, name,
            (await cluster.Server.BerthAsync("token", "create", "--name", name, "--role", "publisher")).Succeed());

        public Task<ToolResult> RunAsync(params string[] arguments) => Tool.RunAsync(
            ServerProcess.Executable, arguments, [],
            new Dictionary<string, string>(Cluster.Server.Variables) { ["BERTH_TOKEN"] = Token });

        public async Task<string> BerthAsync(params string[] arguments) => (await RunAsync(arguments)).Succeed();

        /// <summary>A program that answers with its name and the node's.</summary>
        public async Task ServeAsync(string node)
        {
            string name = $"{Name}-{node}";
            await BerthAsync(
                "function", "deploy", "--network", Name + "-net", "--constraint", $"node={node}", "--timeout", "10m",
                name, "demo/net", "sh", "-c", NetworkServer.Serve(name));
            await BerthAsync("function", "invoke", "--async", name);
            await Condition.HoldsAsync(
                $"{name} answers",
                async () => await TryAsync(node, $"get {name} 80") is var page && page == name ? null : page);
        }

        public Task<string> TryAsync(string node, string script) => BerthAsync(
            "run", "--constraint", $"node={node}", "--network", Name + "-net", "demo/net", "bash", "-c",
            NetworkServer.Get + script);
    }

    /// <summary>Listens in a namespace, on all of its addresses.</summary>
    private sealed class Door : IDisposable
    {
        private readonly Socket socket;

        public Door(string space, int port)
        {
            socket = SocketIn(space, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
            socket.Listen(64);
        }

        /// <summary>What clouds have at this address.</summary>
        public static async Task<Door> MetadataAsync(MachineProcess machine)
        {
            await NamespaceMachines.IpAsync("-n", machine.Namespace, "addr", "add", "169.254.169.254/32", "dev", "lo");
            return new Door($"/run/netns/{machine.Namespace}", 80);
        }

        public void Dispose() => socket.Dispose();
    }

    /// <summary>The resolver that a machine's resolv.conf names, as it is seen from a machine of these.</summary>
    private sealed class Names : IAsyncDisposable
    {
        private readonly Socket socket;
        private readonly Task answering;
        private readonly List<string> asked = [];

        private Names(Socket socket, string name, IPAddress address)
        {
            this.socket = socket;
            answering = Task.Run(() => AnswerAsync(name, address));
        }

        /// <summary>Names that were asked for.</summary>
        public string[] Asked
        {
            get
            {
                lock (asked)
                {
                    return [.. asked.Distinct()];
                }
            }
        }

        public static async Task<Names> OnAsync(MachineProcess machine, string name, IPAddress address)
        {
            string server = File.ReadLines("/etc/resolv.conf").Select(line => line.Split(' '))
                .Where(words => words is ["nameserver", _]).Select(words => words[1]).First();
            await NamespaceMachines.IpAsync("-n", machine.Namespace, "addr", "add", server + "/32", "dev", "lo");
            Socket socket = SocketIn($"/run/netns/{machine.Namespace}", SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(IPAddress.Any, 53));
            return new Names(socket, name, address);
        }

        public async ValueTask DisposeAsync()
        {
            socket.Dispose();
            await answering;
        }

        private async Task AnswerAsync(string name, IPAddress address)
        {
            byte[] buffer = new byte[1024];
            try
            {
                while (true)
                {
                    SocketReceiveFromResult got = await socket.ReceiveFromAsync(
                        buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0));
                    byte[] query = buffer[..got.ReceivedBytes];
                    if (DnsMessage.Read(query) is not { } question)
                    {
                        continue;
                    }

                    lock (asked)
                    {
                        asked.Add(question.Name);
                    }

                    byte[] answer = question.Name == name
                        ? question.Answer(
                            query, question.Type == DnsMessage.TypeAddress ? [address] : [], TimeSpan.FromSeconds(60))
                        : question.Answer(query, DnsOutcome.NoSuchName);
                    await socket.SendToAsync(answer, SocketFlags.None, got.RemoteEndPoint);
                }
            }
            catch (Exception over) when (over is SocketException or ObjectDisposedException)
            {
                // The end.
            }
        }
    }
}
