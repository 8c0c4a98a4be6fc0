using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Core.Resources;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Tasks that give way, on real nodes of two servers: whose they are decides who ends them.</summary>
[Collection("containers")]
public sealed class ClusterPreemptionTests : IAsyncLifetime
{
    private TwoServers servers = null!;

    public async ValueTask InitializeAsync() => servers = await TwoServers.StartAsync();

    public async ValueTask DisposeAsync() => await servers.DisposeAsync();

    [Fact]
    public async Task Whichever_server_has_it_a_task_that_gives_way_leaves_its_memory_to_another()
    {
        string most = await MostAsync();
        string[] batch = [await SubmitAsync("-10", most), await SubmitAsync("-10", most)];
        await UntilAsync(batch[0], "running");
        await UntilAsync(batch[1], "running");

        string urgent = await SubmitAsync("0", most, "echo", "first");
        (await servers.Two.BerthAsync("task", "wait", urgent)).Succeed();
        string[] whys = [.. await Task.WhenAll(batch.Select(WhyAsync))];
        string why = await WhyAsync(urgent);

        string given = Assert.Single(batch, id => why.Contains(
            $"Ended there for its priority: {id}.", StringComparison.Ordinal));
        Assert.Contains(
            $"Ended because run {urgent}, to which its priority of -10 gives way, needs its room on node worker-",
            whys[Array.IndexOf(batch, given)], StringComparison.Ordinal);
        Assert.DoesNotContain(
            "gives way", whys[1 - Array.IndexOf(batch, given)], StringComparison.Ordinal);
        Assert.Equal("first", (await servers.One.BerthAsync("task", "result", urgent)).Succeed());
        await UntilAsync(given, "running");
        Assert.Equal(1, (await RunAsync(given)).GetProperty("attempts").GetInt32());
        Assert.Equal(
            1, await PreemptedAsync(servers.One) + await PreemptedAsync(servers.Two));
        foreach (string id in batch)
        {
            (await servers.One.BerthAsync("task", "cancel", id)).Succeed();
        }
    }

    /// <summary>Two of it are too much for one machine.</summary>
    private async Task<string> MostAsync()
    {
        JsonElement node = await servers.One.Http.GetFromJsonAsync<JsonElement>("/v1/nodes/worker-1");
        long memory = node.GetProperty("facts").GetProperty("memoryBytes").GetInt64();
        return (ByteSize.FromBytes(memory * 6 / 10).Bytes >> 20).ToString(CultureInfo.InvariantCulture) + "MiB";
    }

    private async Task<string> SubmitAsync(string priority, string memory, params string[] command) =>
        (await servers.One.BerthAsync(
            [
                "task", "submit", "--priority", priority, "--memory", memory, "demo/busybox",
                .. command.Length > 0 ? command : ["sleep", "600"],
            ])).Succeed();

    private async Task<string> WhyAsync(string id) => (await servers.One.BerthAsync("why", id)).Succeed();

    private async Task<JsonElement> RunAsync(string id) =>
        await servers.One.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{id}");

    private Task UntilAsync(string id, string state) => Condition.HoldsAsync(
        $"task {id} is {state}",
        async () => (await RunAsync(id)) is var run && run.GetProperty("state").GetString() == state
            ? null
            : run + await WhyAsync(id));

    private static async Task<int> PreemptedAsync(ServerProcess server)
    {
        string text = await server.Http.GetStringAsync("/metrics");
        string line = text.Split('\n').Single(
            l => l.StartsWith("berth_tasks_preempted_total ", StringComparison.Ordinal));
        return int.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture);
    }
}
