using System.Text.Json;
using Berth.IntegrationTests.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Functions whose calls are processes in a sandbox that serves many, by the command line.</summary>
[Collection("server")]
public sealed class ReusedFunctionTests
{
    private const string Count = "echo call >> /tmp/calls; wc -l < /tmp/calls";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Calls_share_files_until_the_revision_changes_and_are_runs_like_any_other()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await DeployAsync(server, "count", Count);

        string[] counts = [await InvokeAsync(server, "count"), await InvokeAsync(server, "count")];
        await BerthAsync(
            server, "function", "deploy", "--isolation", "reused", "-e", "NEW=1", "count", "demo/busybox", "sh", "-c",
            Count);
        string next = await InvokeAsync(server, "count");
        await BerthAsync(server, "function", "rm", "count");
        await DeployAsync(server, "count", Count);
        string anew = await InvokeAsync(server, "count");

        Assert.Equal(["1", "2"], counts);
        Assert.Equal(("1", "1"), (next, anew));
        await DeployAsync(server, "fail", "echo why >&2; exit 7");
        ToolResult failed = await server.BerthAsync("function", "invoke", "fail");
        Assert.Equal(7, failed.ExitCode);
        Assert.Contains("why", failed.Error, StringComparison.Ordinal);
        await DeployAsync(server, "slow", "sleep 600");
        ToolResult late = await server.BerthAsync("function", "invoke", "--timeout", "500ms", "slow");
        Assert.Contains("did not end before its deadline", late.Error, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task When_its_sandbox_is_killed_a_call_is_told_and_a_task_is_tried_again()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await DeployAsync(server, "wait", "sleep 617");

        Task<ToolResult> call = server.BerthAsync("function", "invoke", "wait");
        await KillSandboxAsync(server);
        ToolResult told = await call;
        string task = (await server.BerthAsync("function", "invoke", "--async", "wait")).Succeed();
        await KillSandboxAsync(server);
        await Condition.HoldsAsync("the task is tried a second time", async () =>
        {
            using JsonDocument run = JsonDocument.Parse(await BerthAsync(server, "task", "get", "-o", "json", task));
            return run.RootElement.GetProperty("attempts").GetInt32() == 2 ? null : run.RootElement.ToString();
        });

        Assert.NotEqual(0, told.ExitCode);
        Assert.Contains("init ended", told.Error, StringComparison.Ordinal);
        await server.KillAsync();
        await server.StartAsync();
        (await server.BerthAsync("task", "cancel", task)).Succeed();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Theory]
    [InlineData("--concurrency", "0")]
    [InlineData("--concurrency", "101")]
    [InlineData("--contract", "http")]
    [InlineData("--network", "host")]
    public async Task What_does_not_go_with_it_is_refused(string option, string value)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();

        ToolResult refused = await server.BerthAsync(
            "function", "deploy", "--isolation", "reused", option, value, "no", "demo/busybox", "cat");

        Assert.NotEqual(0, refused.ExitCode);
        Assert.NotEqual("", refused.Error);
        await server.StopAsync();
    }

    private static Task<string> DeployAsync(ServerProcess server, string name, string script) => BerthAsync(
        server, "function", "deploy", "--isolation", "reused", name, "demo/busybox", "sh", "-c", script);

    private static async Task KillSandboxAsync(ServerProcess server)
    {
        await Eventually.BecomesTrueAsync(
            () => HostTraces.Programs(server.Instance, "sleep\0617") > 0, "the call runs");
        HostTraces.KillInitOf(server.Instance, "sleep\0617");
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task<string> InvokeAsync(ServerProcess server, string function) =>
        (await server.BerthAsync("function", "invoke", function)).Succeed();
}
