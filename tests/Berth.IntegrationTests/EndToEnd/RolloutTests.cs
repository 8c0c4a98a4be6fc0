using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Rollouts by the command line on real runc: a plan outlasts a killed server, and ends as the revision's
/// calls deserve.</summary>
[Collection("server")]
public sealed class RolloutTests
{
    [Fact]
    public async Task A_plan_goes_on_through_a_killed_server_and_a_bad_revision_is_taken_back()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "function", "deploy", "up", "demo/busybox", "tr", "a-z", "A-Z");
        await BerthAsync(
            server, "function", "deploy", "--canary", "40,80", "--interval", "2s", "--min-calls", "3", "up",
            "demo/busybox", "cat");
        string before = await BerthAsync(server, "rollout", "status", "-o", "json", "up");

        await server.KillAsync();
        await server.StartAsync();
        string after = await BerthAsync(server, "rollout", "status", "-o", "json", "up");
        string promoted = await UntilEndedAsync(server);
        ToolResult good = await server.BerthAsync("rollout", "status", "-w", "up");

        Assert.Equal(Started(before), Started(after));
        Assert.Equal("promoted", promoted);
        Assert.Equal(0, good.ExitCode);
        Assert.Equal("hello", await InvokeAsync(server));

        await BerthAsync(
            server, "function", "deploy", "--blue-green", "--interval", "30s", "--min-calls", "3", "up",
            "demo/busybox", "sh", "-c", "exit 3");
        string rolledBack = await UntilEndedAsync(server);
        ToolResult bad = await server.BerthAsync("rollout", "status", "-w", "up");

        Assert.Equal("rolled_back", rolledBack);
        Assert.Equal(1, bad.ExitCode);
        Assert.Contains("Calls go where they went before: 100 % to revision 2.", bad.Text, StringComparison.Ordinal);
        Assert.Equal("hello", await InvokeAsync(server));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static (int Revision, string? State, DateTimeOffset At) Started(string json)
    {
        JsonElement view = JsonDocument.Parse(json).RootElement;
        return (
            view.GetProperty("revision").GetInt32(), view.GetProperty("state").GetString(),
            view.GetProperty("startedAt").GetDateTimeOffset());
    }

    /// <summary>Calls the function until its rollout has ended; says how.</summary>
    private static async Task<string> UntilEndedAsync(ServerProcess server)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(2));
        while (true)
        {
            await server.BerthAsync("hello"u8.ToArray(), ["function", "invoke", "-q", "up"]);
            string status = await BerthAsync(server, "rollout", "status", "-o", "json", "up");
            string state = JsonDocument.Parse(status).RootElement.GetProperty("state").GetString()!;
            if (state != "running")
            {
                return state;
            }

            Assert.False(limit.IsCancellationRequested, "The rollout has not ended after two minutes:\n" + status);
        }
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task<string> InvokeAsync(ServerProcess server) =>
        (await server.BerthAsync("hello"u8.ToArray(), ["function", "invoke", "up"])).Succeed();
}
