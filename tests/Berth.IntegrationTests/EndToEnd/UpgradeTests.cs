using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What docs/operations/upgrades.md says: each machine's program is stopped and started again while tasks run,
/// and none is lost or begun twice.</summary>
[Collection("containers")]
public sealed class UpgradeTests : IAsyncLifetime
{
    private static readonly string[] Names = ["worker-a", "worker-b"];

    private readonly List<MachineProcess> workers = [];
    private readonly List<(string Task, string Result)> submitted = [];
    private ServerProcess server = null!;
    private NamespaceMachines machines = null!;

    private string NodeAddress => $"https://{machines.Server}:{server.Port + 1}";

    private string[] Flags => ["--node-listen", $"{machines.Server}:{server.Port + 1}", "--node-name", "control"];

    public async ValueTask InitializeAsync()
    {
        machines = await NamespaceMachines.StartAsync();
        server = new ServerProcess();
        await BusyboxServer.StartAsync(server, Flags);
        foreach (string name in Names)
        {
            MachineProcess worker = await machines.AddAsync(name);
            worker.Join(NodeAddress, (await server.BerthAsync("node", "token", "create")).Succeed());
            await IsReadyAsync(worker);
            workers.Add(worker);
        }

        (await server.BerthAsync("node", "cordon", "control")).Succeed();
    }

    public async ValueTask DisposeAsync()
    {
        await machines.DisposeAsync();
        await server.DisposeAsync();
    }

    [Fact]
    public async Task Every_program_is_restarted_one_by_one_while_tasks_run_and_none_is_lost_or_begun_twice()
    {
        await SubmitAsync(12);
        await server.StopAsync();
        await server.StartAsync(Flags);
        foreach (MachineProcess worker in workers)
        {
            await IsReadyAsync(worker);
        }

        foreach (MachineProcess worker in workers)
        {
            await SubmitAsync(12);
            (await server.BerthAsync("node", "drain", worker.Name)).Succeed();
            await worker.StopAsync();
            worker.Join(NodeAddress);
            await IsReadyAsync(worker);
            (await server.BerthAsync("node", "uncordon", worker.Name)).Succeed();
        }

        foreach ((string task, string result) in submitted)
        {
            (await server.BerthAsync("task", "wait", task)).Succeed();
            JsonElement run = await server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{task}");
            Assert.Equal(result, (await server.BerthAsync("task", "result", task)).Succeed());
            Assert.Equal(1, run.GetProperty("attempts").GetInt32());
        }
    }

    /// <summary>Some run and some wait when it comes to restarting.</summary>
    private async Task SubmitAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            string result = $"result {submitted.Count}";
            submitted.Add((
                (await server.BerthAsync("task", "submit", "demo/busybox", "sh", "-c", $"sleep 2; echo {result}"))
                    .Succeed(),
                result));
        }

        await Condition.HoldsAsync(
            "tasks run", async () => (await server.BerthAsync("task", "ls", "--state", "running", "-q")).Text.Length > 0
                ? null
                : "none");
    }

    private Task IsReadyAsync(MachineProcess worker) => Condition.HoldsAsync(
        $"{worker.Name} is ready", async () =>
        {
            using HttpResponseMessage answer = await server.Http.GetAsync($"/v1/nodes/{worker.Name}");
            MachineView? view = answer.IsSuccessStatusCode
                ? await answer.Content.ReadFromJsonAsync(NodeJson.Default.MachineView)
                : null;
            return view?.State == "ready" ? null : $"{view?.State}; it says {worker.Log}";
        });
}
