using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Berth.IntegrationTests.Nodes;
using Xunit;

namespace Berth.IntegrationTests.Containment;

/// <summary>No network means none: not the machine's own services, not its neighbours, not its metadata.</summary>
[Collection("containers")]
public sealed class NetworkAttackTests(NodeFixture node, AttackProgram program)
    : NetworkAttackContract(program, node), IClassFixture<AttackProgram>;

/// <summary>The same within one container for all runs.</summary>
[Collection("containers")]
public sealed class InnerNetworkAttackTests(NodeFixture node, InnerAttackProgram program)
    : NetworkAttackContract(program, node), IClassFixture<InnerAttackProgram>;

public abstract class NetworkAttackContract(AttackProgram program, NodeFixture node)
{
    /// <summary>Name, what it does and what it comes to, for the page.</summary>
    public static IReadOnlyList<(string Name, string What, string Outcome)> Rows { get; } =
    [
        ("machine-loopback", "Connects to a service on the machine's 127.0.0.1", "ECONNREFUSED: another loopback"),
        ("machine-loopback-v6", "The same on ::1", "ECONNREFUSED or EADDRNOTAVAIL"),
        ("machine-address", "Connects to the machine's other addresses", "ENETUNREACH"),
        ("metadata-address", "Asks the cloud's metadata service, 169.254.169.254", "ENETUNREACH"),
        ("internet", "Connects to an address of the internet", "ENETUNREACH"),
        ("abstract-socket", "Connects to an abstract unix socket of the machine", "ECONNREFUSED: another namespace"),
        ("socket-file", "Connects to the container engine's or the server's socket file", "not in its root"),
    ];

    [Fact]
    public async Task The_machines_loopback_is_another()
    {
        using TcpListener service = new(IPAddress.IPv6Any, 0);
        service.Server.DualMode = true;
        service.Start();
        int port = ((IPEndPoint)service.LocalEndpoint).Port;

        Assert.Equal("ECONNREFUSED", await ReachAsync("127.0.0.1", port));
        Assert.Contains(await ReachAsync("::1", port), (string[])["ECONNREFUSED", "EADDRNOTAVAIL"]);
        Assert.Contains(await ReachAsync("::ffff:127.0.0.1", port), (string[])["ECONNREFUSED", "ENETUNREACH"]);
        Assert.False(service.Pending());
    }

    [Fact]
    public async Task Nothing_beyond_is_reached()
    {
        IEnumerable<string> own = NetworkInterface.GetAllNetworkInterfaces()
            .SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address)
            .Where(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a))
            .Select(a => a.ToString());

        foreach (string address in own.Concat(["169.254.169.254", "fd00:ec2::254", "192.0.2.1", "2001:db8::1"]))
        {
            Assert.Contains(await ReachAsync(address, 80), (string[])["ENETUNREACH", "EADDRNOTAVAIL"]);
        }
    }

    [Fact]
    public async Task Abstract_sockets_of_the_machine_are_in_another_namespace()
    {
        string name = $"berth-test-{Guid.CreateVersion7():N}";
        using Socket service = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        service.Bind(new UnixDomainSocketEndPoint("\0" + name));
        service.Listen();

        Assert.Equal("ECONNREFUSED", await ReachAsync("@" + name, 0));
    }

    [Fact]
    public async Task Sockets_in_the_machines_folders_are_not_there()
    {
        RunOutcome run = await node.Node.RunAsync(SandboxRuns.Spec(
            program.Sandbox, "sh", "-c", "ls -d /run/* /var/run/* /run/berth 2>/dev/null; echo end"));

        Assert.Equal("end\n", run.Output);
    }

    private async Task<string> ReachAsync(string address, int port)
    {
        RunOutcome run = await node.Node.RunAsync(SandboxRuns.Spec(
            program.Sandbox, "/attacks", "reach", address, port.ToString()));
        return run.Output.Trim();
    }
}
