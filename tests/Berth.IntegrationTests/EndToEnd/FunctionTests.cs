using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Functions by the command line on real runc: a change is made, shared, taken back, and outlasts a killed
/// server.</summary>
[Collection("server")]
public sealed class FunctionTests
{
    [Fact]
    public async Task A_function_is_deployed_called_changed_and_taken_back_through_a_killed_server()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "function", "deploy", "up", "demo/busybox", "tr", "a-z", "A-Z");
        Assert.Equal("HELLO", await InvokeAsync(server, "up"));
        await BerthAsync(
            server, "function", "deploy", "--traffic", "0", "--tag", "next", "-m", "64m", "up", "demo/busybox",
            "sh", "-c", "cat; echo \" from $BERTH_FUNCTION $BERTH_REVISION\"");

        await server.KillAsync();
        await server.StartAsync();
        string first = await InvokeAsync(server, "up");
        string tagged = await InvokeAsync(server, "up@next");
        await BerthAsync(server, "function", "traffic", "up", "2=100");
        string second = await InvokeAsync(server, "up");
        await BerthAsync(server, "function", "rollback", "up");
        string back = await InvokeAsync(server, "up");

        Assert.Equal(("HELLO", "HELLO"), (first, back));
        Assert.Equal(("hello from up 2", "hello from up 2"), (tagged, second));
        await BerthAsync(server, "function", "deploy", "--pass-arguments", "say", "demo/busybox", "echo", "own");
        Assert.Equal("own more", await InvokeAsync(server, "say", "more"));
        Assert.Equal(64, (await server.BerthAsync("function", "invoke", "up", "sh")).ExitCode);
        await BerthAsync(server, "function", "rm", "up", "say");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task<string> InvokeAsync(
        ServerProcess server, string function, params string[] arguments) =>
        (await server.BerthAsync("hello"u8.ToArray(), ["function", "invoke", function, .. arguments])).Succeed();
}
