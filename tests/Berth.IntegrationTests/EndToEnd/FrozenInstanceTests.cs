using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Idle instances are stopped where they stand, and answer the next call all the same; frozen or not, they can
/// be ended.</summary>
[Collection("server")]
public sealed class FrozenInstanceTests
{
    private const string Freezer = "/sys/fs/cgroup/freezer";

    [Fact]
    public async Task An_idle_instance_is_frozen_and_answers_the_next_call()
    {
        await using ServerProcess server = await ServiceFunctionTests.StartAsync();
        await DeployAsync(server, "svc", "--freeze", "100ms");
        await DeployAsync(server, "awake", "--freeze", "never");

        string first = await FrozenAsync(server, "svc");
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal("hello", await CallAsync(server, "svc"));
            Assert.Equal(first, await FrozenAsync(server, "svc"));
        }

        Assert.False((await InstanceAsync(server, "awake")).GetProperty("frozen").GetBoolean());
        Assert.True((await InstanceAsync(server, "svc")).GetProperty("memoryBytes").GetInt64() > 0);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Not_while_it_has_a_call()
    {
        await using ServerProcess server = await ServiceFunctionTests.StartAsync();
        await DeployAsync(server, "svc", "--freeze", "100ms");

        // Several passes long.
        string slow = (await server.ShellAsync(
            "(sleep 5; echo late) | curl -sS -T - -X POST -H \"Authorization: Bearer $BERTH_TOKEN\" "
            + "$BERTH_HOST/v1/functions/svc/echo")).Succeed();

        Assert.Equal("late", slow);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_frozen_one_goes_with_its_function_and_after_a_killed_server()
    {
        await using ServerProcess server = await ServiceFunctionTests.StartAsync();
        await DeployAsync(server, "gone", "--freeze", "100ms");
        await FrozenAsync(server, "gone");

        (await server.BerthAsync("function", "rm", "gone")).Succeed();
        await ServerTraces.AreOnlySandboxesAsync(server);
        await DeployAsync(server, "svc", "--freeze", "100ms");
        await FrozenAsync(server, "svc");
        await server.KillAsync();
        await server.StartAsync();

        Assert.Equal("hello", await CallAsync(server, "svc"));
        await ServerTraces.AreOnlySandboxesAsync(server);
        await FrozenAsync(server, "svc");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Waits until the function's one instance is frozen, by the server's word and the kernel's; its id.
    /// </summary>
    private static async Task<string> FrozenAsync(ServerProcess server, string function)
    {
        string id = "";
        await Condition.HoldsAsync($"the instance of {function} is frozen", async () =>
        {
            JsonElement instance = await InstanceAsync(server, function);
            id = instance.GetProperty("id").GetString()!;
            return instance.GetProperty("frozen").GetBoolean() ? null : instance.ToString();
        });
        string[] states =
        [
            .. ServerTraces.ControlGroups(server)
                .Select(g => $"{Freezer}/berth-{server.Instance}/{g}/freezer.state").Where(File.Exists)
                .Select(f => File.ReadAllText(f).Trim()),
        ];
        Assert.True(states.Length == 0 || states.Contains("FROZEN"), string.Join(' ', states));
        return id;
    }

    private static async Task<JsonElement> InstanceAsync(ServerProcess server, string function)
    {
        using JsonDocument view = JsonDocument.Parse((await server.BerthAsync("function", "get", function)).Succeed());
        return Assert.Single(view.RootElement.GetProperty("instances").EnumerateArray()).Clone();
    }

    private static async Task DeployAsync(ServerProcess server, string name, params string[] options) =>
        (await server.BerthAsync(["function", "deploy", "--contract", "http", .. options, name, "demo/service"]))
            .Succeed();

    private static async Task<string> CallAsync(ServerProcess server, string function) => (await server.ShellAsync(
        "curl -sS -d hello -H \"Authorization: Bearer $BERTH_TOKEN\" "
        + $"$BERTH_HOST/v1/functions/{function}/echo")).Succeed();
}
