using System.Net.Http.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A server whose own node is <c>control</c>, and nodes on other machines, which are network namespaces here.
/// </summary>
public abstract class ClusterTest : IAsyncLifetime
{
    private protected ServerProcess Server { get; private set; } = null!;

    private protected NamespaceMachines Machines { get; private set; } = null!;

    protected static CancellationToken Soon => TestContext.Current.CancellationToken;

    /// <summary>What nodes dial.</summary>
    protected string NodeAddress => $"https://{Machines.Server}:{Server.Port + 1}";

    /// <summary>With which the server was started.</summary>
    protected virtual string[] Flags =>
        ["--node-listen", $"{Machines.Server}:{Server.Port + 1}", "--node-name", "control"];

    public virtual async ValueTask InitializeAsync()
    {
        Machines = await NamespaceMachines.StartAsync();
        Server = new ServerProcess();
        await StartServerAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Machines.DisposeAsync();
        await Server.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>With an image of busybox, unless other ones are needed.</summary>
    protected virtual Task StartServerAsync() => BusyboxServer.StartAsync(Server, Flags);

    private protected async Task<MachineProcess> JoinAsync(string name, params string[] options)
    {
        MachineProcess machine = await Machines.AddAsync(name);
        await JoinAsync(machine, options);
        return machine;
    }

    /// <summary>With a new token.</summary>
    private protected async Task JoinAsync(MachineProcess machine, params string[] options)
    {
        machine.Join(NodeAddress, (await Server.BerthAsync("node", "token", "create")).Succeed(), options);
        await UntilAsync(machine, n => n.State == "ready");
    }

    private protected async Task<MachineView> UntilAsync(MachineProcess machine, Func<MachineView, bool> holds)
    {
        MachineView? seen = null;
        await Condition.HoldsAsync($"the node {machine.Name} is so", async () =>
        {
            using HttpResponseMessage answer = await Server.Http.GetAsync($"/v1/nodes/{machine.Name}", Soon);
            if (!answer.IsSuccessStatusCode)
            {
                return $"no such node; it says {machine.Log}";
            }

            seen = await answer.Content.ReadFromJsonAsync(NodeJson.Default.MachineView, Soon);
            return holds(seen!) ? null : $"{seen}; it says {machine.Log}";
        });
        return seen!;
    }
}
