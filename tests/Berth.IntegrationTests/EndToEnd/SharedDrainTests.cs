using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A node of two servers is emptied by one of them.</summary>
[Collection("containers")]
public sealed class SharedDrainTests : IAsyncLifetime
{
    private TwoServers servers = null!;

    public async ValueTask InitializeAsync() => servers = await TwoServers.StartAsync();

    public async ValueTask DisposeAsync() => await servers.DisposeAsync();

    [Fact]
    public async Task Containers_of_all_servers_move_and_what_stays_is_named_and_not_waited_for()
    {
        await CordonAsync(isCordoned: true);
        await RunAsync(servers.One, "web", "--restart", "always");
        await RunAsync(servers.Two, "mail", "--restart", "always");
        await RunAsync(servers.Two, "once");
        await CordonAsync(isCordoned: false);
        long begun = Stopwatch.GetTimestamp();

        ToolResult drained = await servers.One.BerthAsync("node", "drain", "worker-1");

        Assert.True(Stopwatch.GetElapsedTime(begun) < TimeSpan.FromSeconds(90), "it waited for what stays");
        Assert.Equal(1, drained.ExitCode);
        foreach (string said in (string[])[
            "The container web goes to another node.", "The container mail goes to another node.",
            "The container once of server two stays: its policy does not start it again (--restart).",
            "1 container of worker-1 can't be elsewhere: 'berth stop' ends one"])
        {
            Assert.Contains(said, drained.Error, StringComparison.Ordinal);
        }

        await UntilOnAsync(servers.One, "web", "worker-2");
        await UntilOnAsync(servers.Two, "mail", "worker-2");
        await UntilOnAsync(servers.Two, "once", "worker-1");

        ToolResult all = await servers.One.BerthAsync("node", "drain", "--timeout", "0s", "worker-1");

        Assert.Equal("worker-1", all.Succeed());
        Assert.Contains("1 run of worker-1 end here", all.Error, StringComparison.Ordinal);
        await Condition.HoldsAsync("it was ended", async () =>
            (await InspectAsync(servers.Two, "once")).GetProperty("state").GetString() == "exited" ? null : "not yet");
    }

    [Fact]
    public async Task Of_a_servers_own_machine_each_server_says_the_same()
    {
        (await servers.One.BerthAsync("node", "uncordon", "one")).Succeed();
        (await servers.One.BerthAsync(
            "run", "-d", "--name", "here", "--node", "one", "--restart", "always", "demo/busybox", "sleep", "600"))
            .Succeed();

        ToolResult own = await servers.One.BerthAsync("node", "drain", "one");
        ToolResult other = await servers.Two.BerthAsync("node", "drain", "one");

        Assert.Equal((1, 1), (own.ExitCode, other.ExitCode));
        Assert.Contains(
            "The container here stays: it is on the server's own machine.", own.Error, StringComparison.Ordinal);
        Assert.Contains(
            "The container here of server one stays: it is on the server's own machine.", other.Error,
            StringComparison.Ordinal);
        Assert.All([own, other], drained => Assert.Contains(
            "1 container of one can't be elsewhere: 'berth stop' ends one", drained.Error, StringComparison.Ordinal));
        Assert.Equal(
            "running", (await InspectAsync(servers.One, "here")).GetProperty("state").GetString());
    }

    [Fact]
    public async Task A_server_that_is_away_is_named()
    {
        await CordonAsync(isCordoned: true);
        await RunAsync(servers.Two, "mail", "--restart", "always");
        await servers.Two.KillAsync();

        ToolResult drained = await servers.One.BerthAsync("node", "drain", "worker-1");

        Assert.Equal(1, drained.ExitCode);
        Assert.Contains(
            "The server two was not asked: it can't be reached. What it has there goes on.", drained.Error,
            StringComparison.Ordinal);
    }

    /// <summary>The other node takes nothing meanwhile, as both servers know.</summary>
    private async Task CordonAsync(bool isCordoned)
    {
        (await servers.One.BerthAsync("node", isCordoned ? "cordon" : "uncordon", "worker-2")).Succeed();
        await Condition.HoldsAsync("the other server has heard of it", async () =>
        {
            JsonElement node = await servers.Two.Http.GetFromJsonAsync<JsonElement>("/v1/nodes/worker-2");
            return node.GetProperty("cordoned").GetBoolean() == isCordoned ? null : node.ToString();
        });
    }

    private static async Task RunAsync(ServerProcess server, string name, params string[] words)
    {
        (await server.BerthAsync(
            [
                "run", "-d", "--name", name, "--constraint", "node in (worker-1,worker-2)", .. words, "demo/busybox",
                "sleep", "600",
            ])).Succeed();
        await UntilOnAsync(server, name, "worker-1");
    }

    private static Task UntilOnAsync(ServerProcess server, string name, string node) => Condition.HoldsAsync(
        $"container {name} runs on {node}", async () =>
        {
            JsonElement container = await InspectAsync(server, name);
            return container.GetProperty("state").GetString() == "running"
                && container.GetProperty("node").GetString() == node ? null : container.ToString();
        });

    private static async Task<JsonElement> InspectAsync(ServerProcess server, string name)
    {
        JsonElement answer = JsonSerializer.Deserialize<JsonElement>(
            (await server.BerthAsync("inspect", name)).Succeed());
        return answer.ValueKind == JsonValueKind.Array ? answer[0] : answer;
    }
}
