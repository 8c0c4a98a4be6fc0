namespace Berth.Benchmarks.Rigs;

/// <summary>Two network namespaces in place of machines, with a cable each to a bridge that has the server's address.
/// Leaves nothing.</summary>
internal sealed class MachinePair : IAsyncDisposable
{
    private readonly string name = $"bb{Environment.ProcessId % 100000}";

    public string Server => Net + ".1";

    private static string Net => $"10.{100 + (Environment.ProcessId % 100)}.250";

    public static async Task<MachinePair> StartAsync()
    {
        MachinePair made = new();
        try
        {
            await made.MakeAsync();
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    /// <param name="number">0 or 1.</param>
    public string NamespaceOf(int number) => $"{name}-{number}";

    public string AddressOf(int number) => $"{Net}.{10 + number}";

    /// <summary>A program's namespace on each of them, with a VXLAN device in a bridge between: as the manual of ip(8)
    /// has it. Returns the namespaces; the second's address is <see cref="ByHand"/>.</summary>
    public async Task<string[]> LayByHandAsync()
    {
        for (int i = 0; i < 2; i++)
        {
            string machine = NamespaceOf(i);
            string program = $"{machine}p";
            await IpAsync("netns", "add", program);
            await IpAsync("-n", machine, "link", "add", "hand", "type", "bridge");
            await IpAsync(
                "-n", machine, "link", "add", "vxhand", "type", "vxlan", "id", "42", "local", AddressOf(i), "remote",
                AddressOf(1 - i), "dstport", "4789");
            await IpAsync("-n", machine, "link", "set", "vxhand", "mtu", "1450", "master", "hand", "up");
            await IpAsync("-n", machine, "link", "set", "hand", "up");
            await IpAsync(
                "-n", machine, "link", "add", "cable", "mtu", "1450", "type", "veth", "peer", "name", "eth0", "mtu",
                "1450", "netns", program);
            await IpAsync("-n", machine, "link", "set", "cable", "master", "hand", "up");
            await IpAsync("-n", program, "addr", "add", i == 0 ? "10.9.9.1/24" : ByHand + "/24", "dev", "eth0");
            await IpAsync("-n", program, "link", "set", "eth0", "up");
        }

        return [NamespaceOf(0) + "p", NamespaceOf(1) + "p"];
    }

    public const string ByHand = "10.9.9.2";

    public async ValueTask DisposeAsync()
    {
        for (int i = 0; i < 2; i++)
        {
            await TryAsync("netns", "del", NamespaceOf(i) + "p");
            await TryAsync("netns", "del", NamespaceOf(i));
        }

        await TryAsync("link", "del", name);
    }

    private async Task MakeAsync()
    {
        await IpAsync("link", "add", name, "type", "bridge");
        await IpAsync("addr", "add", Server + "/24", "dev", name);
        await IpAsync("link", "set", name, "up");
        for (int i = 0; i < 2; i++)
        {
            string machine = NamespaceOf(i);
            await IpAsync("netns", "add", machine);
            await IpAsync(
                "link", "add", $"{name}{i}", "type", "veth", "peer", "name", "eth0", "netns", machine);
            await IpAsync("link", "set", $"{name}{i}", "master", name, "up");
            await IpAsync("-n", machine, "addr", "add", AddressOf(i) + "/24", "dev", "eth0");
            await IpAsync("-n", machine, "link", "set", "eth0", "up");
            await IpAsync("-n", machine, "link", "set", "lo", "up");
        }
    }

    private static Task<string> IpAsync(params string[] arguments) => Command.RunAsync("ip", arguments);

    private static async Task TryAsync(params string[] arguments)
    {
        try
        {
            await IpAsync(arguments);
        }
        catch (InvalidOperationException)
        {
            // It was not made.
        }
    }
}
