using Berth.Core.Faults;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>The server is ended as by kill -9 at every step of making a sandbox within a container: the next one serves
/// the function, and nothing of the first is left.</summary>
[Collection("server")]
public sealed class InnerCrashTests
{
    /// <summary>Points that <see cref="CrashPointTests"/> leaves to this test.</summary>
    internal static CrashPoint[] Points { get; } =
    [
        CrashPoint.OuterContainerBooted, CrashPoint.CellGroupsMade, CrashPoint.InnerSandboxBooted,
    ];

    [Fact]
    public async Task Killed_once_at_every_step_of_a_sandbox_within_a_container()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        (await server.BerthAsync("function", "deploy", "up", "demo/busybox", "tr", "a-z", "A-Z")).Succeed();
        await server.KillAsync();

        foreach (CrashPoint point in Points)
        {
            server.Environment["BERTH_TEST_MODE"] = "1";
            server.Environment["BERTH_CRASH_AT"] = $"{point}:1";
            server.Begin();
            Assert.True(await server.BecomesReadyAsync(), $"{point} was reached before there was a call.");
            ToolResult call = await server.BerthAsync("hello"u8.ToArray(), "function", "invoke", "up");
            Assert.NotEqual(0, call.ExitCode);
            Assert.Equal(137, await server.EndsAsync());
        }

        server.Environment.Clear();
        await server.StartAsync();
        Assert.Equal(
            "HELLO", (await server.BerthAsync("hello"u8.ToArray(), "function", "invoke", "up")).Succeed());
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }
}
