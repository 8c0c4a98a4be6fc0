using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Networks by the command line, with real programs that try: who finds whom, what nobody reaches, what is there again
/// after somebody took it away, and that nothing stays.
/// </summary>
[Collection("server")]
public sealed class NetworkTests
{
    private const string Get = NetworkServer.Get;

    [Fact]
    public async Task Programs_of_a_network_find_each_other_and_published_ports_lead_in()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        int port = FreePort();
        await BerthAsync(server, "network", "create", "--subnet", "10.77.0.0/24", "shop");
        await ServeAsync(
            server, "web", "-p", $"127.0.0.1:{port}:80", "--ip", "10.77.0.99", "--network-alias", "front");

        string inside = await TryAsync(
            server, "shop", Get + "get web 80; get front 80; get 10.77.0.99 80; get web.shop 80");
        string told = await BerthAsync(
            server, "run", "--network", "shop", "demo/net", "sh", "-c",
            "busybox nslookup nobody | busybox tail -n 2; busybox nslookup 10.77.0.99; busybox cat /etc/resolv.conf; "
            + "busybox ls /sys/class/net");
        string outside = await FetchAsync(port);
        ToolResult taken = await server.BerthAsync(
            "run", "-d", "--name", "second", "--network", "shop", "-p", $"127.0.0.1:{port}:80", "demo/net", "true");
        ToolResult used = await server.BerthAsync("network", "rm", "shop");

        Assert.Equal("web\nweb\nweb\nweb", inside);
        Assert.Equal("web", outside);
        Assert.Contains("can't find nobody: NXDOMAIN", told, StringComparison.Ordinal);
        Assert.Contains("nameserver 10.77.0.1\neth0\nlo", told, StringComparison.Ordinal);
        Assert.Contains("99.0.77.10.in-addr.arpa\tname = ", told, StringComparison.Ordinal);
        Assert.Contains($"Port {port} of 127.0.0.1 can't be published", taken.Error, StringComparison.Ordinal);
        Assert.Contains("used by container", used.Error, StringComparison.Ordinal);
        await EndAsync(server, "web", "second");
    }

    [Fact]
    public async Task Functions_and_calls_are_in_networks_too_and_functions_are_found_by_their_names()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        await BerthAsync(server, "network", "create", "shop");
        await ServeAsync(server, "db");
        await BerthAsync(
            server, "function", "deploy", "--network", "shop", "-m", "64m", "ask", "demo/net", "bash", "-c",
            Get + "get db 80");

        string asked = await BerthAsync(server, "function", "invoke", "ask");
        string id = await BerthAsync(
            server, "task", "submit", "--network", "shop", "demo/net", "bash", "-c", Get + "get db 80");
        await BerthAsync(server, "task", "wait", "-q", id);
        string task = await BerthAsync(server, "task", "result", id);
        ToolResult none = await server.BerthAsync("run", "demo/net", "bash", "-c", Get + "get db 80");
        ToolResult used = await server.BerthAsync("network", "rm", "shop");

        Assert.Equal(("db", "db", ""), (asked, task, none.Text));
        Assert.Contains("function ask", used.Error, StringComparison.Ordinal);
        await BerthAsync(server, "function", "rm", "ask");
        await EndAsync(server, "db");
    }

    [Fact]
    public async Task Nobody_reaches_the_machine_its_metadata_or_a_network_of_somebody_else()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        string token = await BerthAsync(server, "token", "create", "--name", "other", "--role", "user");
        await BerthAsync(server, "network", "create", "--subnet", "10.77.0.0/24", "mine");
        await ServeInAsync(server, "mine", "web");
        string gateway = HostAddress(server);
        Task<ToolResult> AsOtherAsync(params string[] arguments) => Tool.RunAsync(
            ServerProcess.Executable, arguments, [],
            new Dictionary<string, string>(server.Variables) { ["BERTH_TOKEN"] = token });

        ToolResult made = await AsOtherAsync("network", "create", "--subnet", "10.77.0.0/24", "theirs");
        ToolResult foreign = await AsOtherAsync("run", "--network", "mine", "demo/net", "true");
        ToolResult listed = await AsOtherAsync("network", "ls", "-q");
        ToolResult tried = await AsOtherAsync(
            "run", "--network", "theirs", "demo/net", "bash", "-c",
            Get + $"get 10.77.0.1 {server.Port} & get {gateway} {server.Port} & get 127.0.0.1 {server.Port} & "
            + "get 169.254.169.254 80 & get 10.77.0.2 80 & get web 80 & wait; "
            + "busybox nslookup web | busybox tail -n 2");

        Assert.Equal(("theirs\n", 0), (made.Text, made.ExitCode));
        Assert.Contains("no network 'mine' of yours", foreign.Error, StringComparison.Ordinal);
        Assert.Equal("theirs\n", listed.Text);
        Assert.EndsWith("** server can't find web: NXDOMAIN", tried.Succeed(), StringComparison.Ordinal);
        Assert.DoesNotContain("\nweb\n", "\n" + tried.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("HTTP", tried.Text, StringComparison.Ordinal);
        await BerthAsync(server, "network", "rm", "theirs");
        await EndAsync(server, "web");
    }

    [Fact]
    public async Task Rules_of_a_network_open_what_they_say_and_an_internal_one_nothing()
    {
        await using NamespaceMachines outside = await NamespaceMachines.StartAsync();
        MachineProcess machine = await outside.AddAsync("world");
        string net = outside.Server[..outside.Server.LastIndexOf('.')];
        await using ServerProcess server = await NetworkServer.StartAsync("--network-allow", net + ".0/24");
        await NamespaceMachines.IpAsync("-n", machine.Namespace, "route", "add", "default", "via", outside.Server);
        using System.Diagnostics.Process web = Tool.Start(
            "/usr/bin/nsenter",
            [$"--net=/run/netns/{machine.Namespace}", "/bin/busybox", "httpd", "-f", "-p", "80", "-h", server.Folder]);
        await File.WriteAllTextAsync(server.Folder + "/page", "world\n");
        try
        {
            await BerthAsync(server, "network", "create", "usual");
            await BerthAsync(server, "network", "create", "--egress", $"allow:{net}.10", "open");
            await BerthAsync(
                server, "network", "create", "--egress", $"deny:{net}.10", "--egress", $"allow:{net}.0/24", "shut");
            await BerthAsync(server, "network", "create", "--internal", "--egress", $"allow:{net}.10", "inside");
            ToolResult refused = await server.BerthAsync(
                "network", "create", "--egress", "allow:192.168.0.0/16", "more");

            string ask = Get + $"get {net}.10 80";

            await Condition.HoldsAsync(
                "the outside answers", async () => await TryAsync(server, "open", ask) == "world" ? null : "nothing");
            Assert.Equal("", await TryAsync(server, "usual", ask));
            Assert.Equal("", await TryAsync(server, "shut", ask));
            Assert.Equal("", await TryAsync(server, "inside", ask));
            Assert.Contains("the operator's network-allow decides", refused.Error, StringComparison.Ordinal);
        }
        finally
        {
            web.Kill();
            await web.WaitForExitAsync();
        }

        await EndAsync(server);
    }

    [Fact]
    public async Task A_program_that_speaks_under_another_address_is_not_heard()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        await BerthAsync(server, "network", "create", "--subnet", "10.77.0.0/24", "shop");
        await ServeAsync(server, "web", "--ip", "10.77.0.50");
        await BerthAsync(
            server, "run", "-d", "--name", "liar", "--network", "shop", "--ip", "10.77.0.60", "demo/net", "busybox",
            "sleep", "600");
        // What no program in a sandbox may do, its root neither; who breaks out of it could.
        int liar = ServerTraces.Inits(server).First(pid => AddressesOf(pid).Contains("10.77.0.60"));
        string[] inside = ["-t", $"{liar}", "-n", "--"];

        Assert.True(await PingsAsync(inside, "10.77.0.60"));
        await EnterAsync(inside, NamespaceMachines.Ip, "addr", "add", "10.77.0.61/24", "dev", "eth0");
        Assert.False(await PingsAsync(inside, "10.77.0.61"));
        Assert.True(await PingsAsync(inside, "10.77.0.60"));
        await EnterAsync(inside, NamespaceMachines.Ip, "link", "set", "eth0", "address", "02:00:00:00:00:01");
        Assert.False(await PingsAsync(inside, "10.77.0.60"));
        await EndAsync(server, "web", "liar");
    }

    [Fact]
    public async Task What_somebody_took_away_is_there_again()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        int port = FreePort();
        await BerthAsync(server, "network", "create", "shop");
        await ServeAsync(server, "web", "-p", $"127.0.0.1:{port}:80");
        string network = Directory.GetFiles($"/proc/{server.Pid}/fd").First(HasBridge);

        await EnterAsync([$"--net={network}", "--"], NamespaceMachines.Ip, "link", "del", "net0");
        await ReachableAsync(server, port);
        foreach (string device in DevicesOf(network).Where(d => d.StartsWith('p')))
        {
            await EnterAsync([$"--net={network}", "--"], NamespaceMachines.Ip, "link", "del", device);
        }

        await ReachableAsync(server, port);
        await NamespaceMachines.IpAsync("link", "del", Assert.Single(Cables(server)));
        await Condition.HoldsAsync("the cable is there again", () => Cables(server).Length == 1);
        await EndAsync(server, "web");
    }

    [Fact]
    public async Task A_killed_server_leaves_nothing_of_a_network_and_the_next_one_goes_on_with_it()
    {
        await using ServerProcess server = await NetworkServer.StartAsync();
        int port = FreePort();
        await BerthAsync(server, "network", "create", "shop");
        await ServeAsync(server, "web", "--restart", "always", "-p", $"127.0.0.1:{port}:80");
        Assert.Single(Cables(server));

        await server.KillAsync();

        await Condition.HoldsAsync("the cable went with the server", () => Cables(server).Length == 0);
        await server.StartAsync();
        await ReachableAsync(server, port);
        Assert.Equal("web", await TryAsync(server, "shop", Get + "get web 80"));
        await EndAsync(server, "web");
        Assert.Empty(Cables(server));
    }

    private static Task ServeAsync(ServerProcess server, string name, params string[] options) =>
        ServeInAsync(server, "shop", name, options);

    private static async Task ServeInAsync(ServerProcess server, string network, string name, params string[] options)
    {
        await BerthAsync(
            server,
            [
                "run", "-d", "--name", name, "--network", network, .. options, "demo/net", "sh", "-c",
                NetworkServer.Serve(name),
            ]);
        await Condition.HoldsAsync(
            $"{name} serves",
            async () => await TryAsync(server, network, Get + $"get {name} 80") == name ? null : "nothing");
    }

    private static Task<string> TryAsync(ServerProcess server, string network, string script) =>
        BerthAsync(server, "run", "--network", network, "demo/net", "bash", "-c", script);

    private static Task ReachableAsync(ServerProcess server, int port) => Condition.HoldsAsync(
        "web is reached, from outside and inside",
        async () => await FetchAsync(port) == "web" && await TryAsync(server, "shop", Get + "get web 80") == "web"
            ? null
            : "it is not");

    /// <summary>Empty where nothing answers.</summary>
    private static async Task<string> FetchAsync(int port)
    {
        using HttpClient client = new() { Timeout = TimeSpan.FromSeconds(5) };
        try
        {
            return (await client.GetStringAsync(new Uri($"http://127.0.0.1:{port}/page"))).Trim();
        }
        catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
        {
            return "";
        }
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string[] Cables(ServerProcess server) =>
    [
        .. Directory.GetDirectories("/sys/class/net").Select(d => Path.GetFileName(d))
            .Where(d => d.StartsWith("bn" + server.Instance, StringComparison.Ordinal)),
    ];

    /// <summary>The machine's end of the only cable.</summary>
    private static string HostAddress(ServerProcess server) =>
        System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces()
            .First(i => i.Name == Cables(server)[0]).GetIPProperties().UnicastAddresses[0].Address.ToString();

    private static bool HasBridge(string descriptor) =>
        new FileInfo(descriptor).LinkTarget?.StartsWith("net:[", StringComparison.Ordinal) == true
        && DevicesOf(descriptor).Contains("net0");

    private static string[] DevicesOf(string space) =>
    [
        .. Tool.RunAsync("/usr/bin/nsenter", [$"--net={space}", "--", NamespaceMachines.Ip, "-o", "link"], [])
            .GetAwaiter().GetResult().Text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(": ")[1].Split('@')[0]),
    ];

    private static string AddressesOf(int pid) =>
        Tool.RunAsync("/usr/bin/nsenter", ["-t", $"{pid}", "-n", "--", NamespaceMachines.Ip, "-o", "addr"], [])
            .GetAwaiter().GetResult().Text;

    private static async Task EnterAsync(string[] where, params string[] command) =>
        (await Tool.RunAsync("/usr/bin/nsenter", [.. where, .. command], [])).Succeed();

    /// <summary>Whether the network's own address answers this one.</summary>
    private static async Task<bool> PingsAsync(string[] where, string from) =>
        (await Tool.RunAsync(
            "/usr/bin/nsenter",
            [.. where, "/bin/busybox", "ping", "-c", "1", "-W", "2", "-I", from, "10.77.0.50"], [])).ExitCode == 0;

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task EndAsync(ServerProcess server, params string[] containers)
    {
        if (containers.Length > 0)
        {
            await BerthAsync(server, ["rm", "-f", .. containers]);
        }

        await BerthAsync(server, "network", "prune");
        Assert.Equal("", await BerthAsync(server, "network", "ls", "-q"));
        Assert.Empty(Cables(server));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }
}
