using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Two servers start containers on the same nodes, of which each has room for one.</summary>
[Collection("containers")]
public sealed class SharedRoomTests : IAsyncLifetime
{
    private TwoServers servers = null!;
    private string memory = "";

    public async ValueTask InitializeAsync()
    {
        servers = await TwoServers.StartAsync();
        JsonElement node = await servers.One.Http.GetFromJsonAsync<JsonElement>("/v1/nodes/worker-1");
        long bytes = node.GetProperty("facts").GetProperty("memoryBytes").GetInt64();
        memory = string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024 / 1024 * 6 / 10}MiB");
    }

    public async ValueTask DisposeAsync() => await servers.DisposeAsync();

    [Fact]
    public async Task What_is_started_at_once_goes_where_there_is_room_and_the_rest_is_refused_with_what_is_missing()
    {
        (ServerProcess Server, string Name)[] asked =
        [
            (servers.One, "one-a"), (servers.Two, "two-a"), (servers.One, "one-b"), (servers.Two, "two-b"),
        ];

        ToolResult[] started = await Task.WhenAll(asked.Select(a => RunAsync(a.Server, a.Name, "worker-1,worker-2")));

        int[] running = [.. Enumerable.Range(0, 4).Where(i => started[i].ExitCode == 0)];
        int[] refused = [.. Enumerable.Range(0, 4).Except(running)];
        string said = string.Join('\n', started.Select(s => s.Error));
        Assert.True(running.Length == 2, said);
        // By a node, which is named then, or by the planner where it has heard of both, which counts them.
        Assert.All(refused, i => Assert.Matches(
            @"worker-[12]\. The node has no room for it\..* memory|memory \([^)]* asked\) [12]\b", started[i].Error));
        Assert.Equal(
            ["worker-1", "worker-2"],
            (await Task.WhenAll(running.Select(i => NodeOfAsync(asked[i].Server, asked[i].Name)))).Order());

        // What was refused is there, and starts where room comes free, be that another server's container's.
        (ServerProcess Server, string Name) first = asked[running[0]];
        (ServerProcess Server, string Name) next = asked.First(
            a => refused.Any(i => asked[i] == a) && a.Server != first.Server);
        string freed = await NodeOfAsync(first.Server, first.Name);
        (await first.Server.BerthAsync("rm", "-f", first.Name)).Succeed();
        await Condition.HoldsAsync("it starts", async () =>
            await next.Server.BerthAsync("start", next.Name) is { ExitCode: not 0 } later ? later.Error : null);
        Assert.Equal(freed, await NodeOfAsync(next.Server, next.Name));
    }

    [Fact]
    public async Task The_room_of_what_waits_for_its_next_start_is_not_anothers()
    {
        (await RunAsync(servers.One, "web", "worker-1", "--restart", "always")).Succeed();

        (await servers.One.BerthAsync("kill", "-s", "TERM", "web")).Succeed();
        ToolResult other = await RunAsync(servers.Two, "other", "worker-1");
        await Condition.HoldsAsync("it was started again", async () =>
            await InspectAsync(servers.One, "web") is var web
            && web.GetProperty("state").GetString() == "running" && web.GetProperty("restarts").GetInt32() > 0
                ? null
                : web.ToString());

        Assert.NotEqual(0, other.ExitCode);
        Assert.Contains("worker-1", other.Error, StringComparison.Ordinal);
        Assert.Contains("memory", other.Error, StringComparison.Ordinal);
    }

    private Task<ToolResult> RunAsync(ServerProcess server, string name, string nodes, params string[] words) =>
        server.BerthAsync(
            [
                "run", "-d", "--name", name, "--memory", memory, "--constraint", $"node in ({nodes})", .. words,
                "demo/busybox", "sh", "-c", "trap 'exit 1' TERM; while true; do busybox sleep 0.1; done",
            ]);

    private static async Task<string> NodeOfAsync(ServerProcess server, string name) =>
        (await InspectAsync(server, name)).GetProperty("node").GetString()!;

    private static async Task<JsonElement> InspectAsync(ServerProcess server, string name)
    {
        JsonElement answer = JsonSerializer.Deserialize<JsonElement>(
            (await server.BerthAsync("inspect", name)).Succeed());
        return answer.ValueKind == JsonValueKind.Array ? answer[0] : answer;
    }
}
