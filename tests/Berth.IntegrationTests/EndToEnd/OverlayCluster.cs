using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A server and nodes on other machines, and networks that are on all of them.</summary>
internal sealed class OverlayCluster : IAsyncDisposable
{
    private OverlayCluster(NamespaceMachines machines, ServerProcess server)
    {
        Machines = machines;
        Server = server;
    }

    public NamespaceMachines Machines { get; }

    public ServerProcess Server { get; }

    public string NodeAddress => $"https://{Machines.Server}:{Server.Port + 1}";

    public static Task<OverlayCluster> StartAsync(params string[] flags) => StartAsync(flags, []);

    /// <param name="variables">Of the server's environment.</param>
    public static async Task<OverlayCluster> StartAsync(string[] flags, (string Name, string Value)[] variables)
    {
        NamespaceMachines machines = await NamespaceMachines.StartAsync();
        try
        {
            ServerProcess server = new();
            foreach ((string name, string value) in variables)
            {
                server.Environment[name] = value;
            }

            await NetworkServer.StartAsync(
                server,
                [
                    "--node-listen", $"{machines.Server}:{server.Port + 1}", "--node-name", "control",
                    "--pool-memory", "0", .. flags,
                ]);
            return new OverlayCluster(machines, server);
        }
        catch
        {
            await machines.DisposeAsync();
            throw;
        }
    }

    /// <param name="variables">Of the node's environment.</param>
    public async Task<MachineProcess> JoinAsync(string name, params (string Name, string Value)[] variables)
    {
        MachineProcess machine = await Machines.AddAsync(name);
        foreach ((string variable, string value) in variables)
        {
            machine.Environment[variable] = value;
        }

        await JoinAsync(machine);
        return machine;
    }

    public async Task JoinAsync(MachineProcess machine)
    {
        machine.Join(NodeAddress, (await Server.BerthAsync("node", "token", "create")).Succeed());
        await ReadyAsync(machine);
    }

    public Task ReadyAsync(MachineProcess machine) => Condition.HoldsAsync(
        $"the node {machine.Name} is ready", async () =>
        {
            using HttpResponseMessage answer = await Server.Http.GetAsync($"/v1/nodes/{machine.Name}");
            MachineView? seen = answer.IsSuccessStatusCode
                ? await answer.Content.ReadFromJsonAsync(NodeJson.Default.MachineView)
                : null;
            return seen is { State: "ready" } ? null : $"{seen}; it says {machine.Log}";
        });

    /// <summary>A program on the server's own machine that answers with its name.</summary>
    public async Task ServeHereAsync(string network, string name)
    {
        (await Server.BerthAsync(
            "run", "-d", "--name", name, "--network", network, "demo/net", "sh", "-c", NetworkServer.Serve(name)))
            .Succeed();
        await AnswersAsync("control", network, name);
    }

    /// <summary>One on a node; a function's programs are found by its name.</summary>
    public async Task ServeOnAsync(MachineProcess node, string network, string name)
    {
        (await Server.BerthAsync(
            "function", "deploy", "--network", network, "--constraint", $"node={node.Name}", "--timeout", "10m", name,
            "demo/net", "sh", "-c", NetworkServer.Serve(name))).Succeed();
        (await Server.BerthAsync("function", "invoke", "--async", name)).Succeed();
        await AnswersAsync(node.Name, network, name);
    }

    /// <summary>What a script prints that runs in a network on a node.</summary>
    public async Task<string> TryOnAsync(string node, string network, string script) =>
        (await Server.BerthAsync(
            "run", "--constraint", $"node={node}", "--network", network, "demo/net", "bash", "-c",
            NetworkServer.Get + script)).Succeed();

    public Task AnswersAsync(string node, string network, string name) => Condition.HoldsAsync(
        $"{name} answers on {node}",
        async () => await TryOnAsync(node, network, $"get {name} 80") is var page && page == name
            ? null
            : $"'{page}'; {Server.Log}");

    /// <summary>Of the namespace of a network, which a process holds by a descriptor; by the number between
    /// machines.</summary>
    public static async Task<Dictionary<int, string>> NetworksOfAsync(int pid)
    {
        Dictionary<int, string> found = [];
        foreach (string descriptor in Directory.GetFiles($"/proc/{pid}/fd"))
        {
            if (new FileInfo(descriptor).LinkTarget?.StartsWith("net:[", StringComparison.Ordinal) != true)
            {
                continue;
            }

            string devices = (await Tool.RunAsync(
                "/usr/bin/nsenter", [$"--net={descriptor}", "--", NamespaceMachines.Ip, "-o", "link"], [])).Text;
            if (devices.Contains(": net0:", StringComparison.Ordinal))
            {
                int at = devices.IndexOf(": vx", StringComparison.Ordinal);
                found[at < 0 ? 0 : Convert.ToInt32(devices.Substring(at + 4, 6), 16)] = descriptor;
            }
        }

        return found;
    }

    public async Task<JsonElement> NetworkAsync(string name) =>
        await Server.Http.GetFromJsonAsync<JsonElement>($"/v1/networks/{name}");

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Machines.DisposeAsync();
        }
        finally
        {
            await Server.DisposeAsync();
        }

        Assert.Empty(Nodes.HostTraces.Of(Server.Instance));
    }
}
