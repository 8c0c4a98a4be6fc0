using System.Diagnostics;
using Berth.Node;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Network namespaces in place of machines: each has one interface, in a bridge with the address that the server
/// listens on. A cable can be cut. Leaves nothing.
/// </summary>
internal sealed class NamespaceMachines : IAsyncDisposable
{
    private static int networks;

    private readonly List<MachineProcess> machines = [];
    private readonly int network = Interlocked.Increment(ref networks);
    private readonly string bridge;

    private NamespaceMachines() => bridge = $"bt{Environment.ProcessId % 100000}x{network}";

    /// <summary>The server's address among the machines.</summary>
    public string Server => $"{Net}.1";

    private string Net => $"10.{100 + (Environment.ProcessId % 100)}.{network}";

    public static async Task<NamespaceMachines> StartAsync()
    {
        NamespaceMachines made = new();
        try
        {
            await IpAsync("link", "add", made.bridge, "type", "bridge");
            await IpAsync("addr", "add", made.Server + "/24", "dev", made.bridge);
            await IpAsync("link", "set", made.bridge, "up");
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    /// <summary>A machine with a cable to the server; nothing runs on it yet.</summary>
    public async Task<MachineProcess> AddAsync(string name)
    {
        int number = machines.Count + 10;
        MachineProcess machine = new(name, $"{bridge}-{number}", $"{bridge}p{number}")
        {
            Address = $"{Net}.{number}",
        };
        machines.Add(machine);
        await IpAsync("netns", "add", machine.Namespace);
        await IpAsync("link", "add", machine.Cable, "type", "veth", "peer", "name", "eth0", "netns", machine.Namespace);
        await IpAsync("link", "set", machine.Cable, "master", bridge, "up");
        await IpAsync("-n", machine.Namespace, "addr", "add", $"{Net}.{number}/24", "dev", "eth0");
        await IpAsync("-n", machine.Namespace, "link", "set", "eth0", "up");
        await IpAsync("-n", machine.Namespace, "link", "set", "lo", "up");
        return machine;
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            foreach (MachineProcess machine in machines)
            {
                await machine.DisposeAsync();
            }
        }
        finally
        {
            // The pairs go with the namespaces.
            foreach (MachineProcess machine in machines)
            {
                await Tool.RunAsync(Ip, ["netns", "del", machine.Namespace], []);
            }

            await Tool.RunAsync(Ip, ["link", "del", bridge], []);
        }
    }

    internal static string Ip { get; } =
        new[] { "/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip" }.FirstOrDefault(File.Exists) ?? "ip";

    /// <summary>The same in a namespace.</summary>
    internal static async Task EnterAsync(string space, params string[] arguments) =>
        (await Tool.RunAsync("/usr/bin/nsenter", [$"--net={space}", "--", Ip, .. arguments], [])).Succeed();

    internal static async Task IpAsync(params string[] arguments) =>
        (await Tool.RunAsync(Ip, arguments, [])).Succeed();
}

/// <summary>A machine of <see cref="NamespaceMachines"/>, and the node that runs on it.</summary>
internal sealed class MachineProcess(string name, string @namespace, string cable) : IAsyncDisposable
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-e2e-{Path.GetRandomFileName()}").FullName;
    private readonly System.Text.StringBuilder log = new();
    private Process? process;

    public string Name => name;

    /// <summary>Among the machines.</summary>
    public required string Address { get; init; }

    /// <summary>Variables for the next start of its node, beside this process's own.</summary>
    public Dictionary<string, string> Environment { get; } = [];

    public string Namespace => @namespace;

    public string Cable => cable;

    public string Data => Path.Combine(folder, "data");

    /// <summary>Name of everything that this node makes on the machine.</summary>
    public string Instance => NodeOptions.InstanceOf(Data);

    /// <summary>Of its node.</summary>
    public int Pid => process!.Id;

    public string Log
    {
        get
        {
            lock (log)
            {
                return log.ToString();
            }
        }
    }

    /// <summary>Starts its node; the first time with a token.</summary>
    public void Join(string server, string? token = null, params string[] options)
    {
        string[] first = token is null ? [] : ["--token-file", KeepToken(token), "--name", name];
        process = Tool.Start(
            "/usr/bin/nsenter",
            [
                $"--net=/run/netns/{@namespace}", ServerProcess.Executable, "node", "join", server, "--data", Data,
                "--pool-memory", "0", .. first, .. options,
            ],
            Environment);
        process.StandardInput.Close();
        process.OutputDataReceived += Note;
        process.ErrorDataReceived += Note;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public async Task KillAsync()
    {
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>As systemd does: SIGTERM, and it ends in good order.</summary>
    public async Task StopAsync()
    {
        ServerProcess.Signal(process!.Id, 15);
        Assert.Equal(0, await EndsAsync());
    }

    public Task CutAsync() => NamespaceMachines.IpAsync("link", "set", cable, "down");

    public Task MendAsync() => NamespaceMachines.IpAsync("link", "set", cable, "up");

    /// <summary>Waits until its node has ended by itself; returns its exit code.</summary>
    public async Task<int> EndsAsync()
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        await process!.WaitForExitAsync(limit.Token);
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            ServerProcess.TrySignal(process.Id, 15);
            await EndsAsync();
        }

        string end = process is null ? "never ran" : $"ended with {process.ExitCode}";
        process?.Dispose();
        string[] left = [.. Nodes.HostTraces.Of(Instance, Data)];
        Assert.True(left.Length == 0, $"{name} {end} and left {string.Join(", ", left)}:\n{Log}");
        Directory.Delete(folder, recursive: true);
    }

    private string KeepToken(string token)
    {
        string file = Path.Combine(folder, "token");
        File.WriteAllText(file, token);
        return file;
    }

    private void Note(object sender, DataReceivedEventArgs line)
    {
        lock (log)
        {
            log.AppendLine(line.Data);
        }
    }
}
