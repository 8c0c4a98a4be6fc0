using Berth.Core.Faults;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>The server is ended as by kill -9 at every step of what comes after a call that nobody waited for: what is
/// sent again or handed on becomes one task, however often the step is done.</summary>
[Collection("server")]
public sealed class AfterwardsCrashTests
{
    /// <summary>Points that <see cref="CrashPointTests"/> leaves to these tests.</summary>
    internal static CrashPoint[] Points { get; } =
    [
        CrashPoint.RedriveAccepted, CrashPoint.RedriveClosed, CrashPoint.LettersTrimmed, CrashPoint.ForwardAccepted,
        CrashPoint.ForwardClosed,
    ];

    [Fact]
    public async Task A_dead_letter_is_sent_again_once_wherever_the_server_was_killed()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        (await server.BerthAsync("function", "deploy", "fails", "demo/busybox", "false")).Succeed();
        string first = (await server.BerthAsync("function", "invoke", "--async", "fails")).Succeed();
        await server.BerthAsync("task", "wait", first);
        await server.KillAsync();

        foreach (CrashPoint point in (CrashPoint[])[CrashPoint.RedriveAccepted, CrashPoint.RedriveClosed])
        {
            Plan(server, point);
            server.Begin();
            Assert.True(await server.BecomesReadyAsync(), $"{point} was reached before anything was sent again.");
            Assert.NotEqual(0, (await server.BerthAsync("dlq", "redrive", first)).ExitCode);
            Assert.Equal(137, await server.EndsAsync());
        }

        await StartAsync(server);
        string[] tasks = await TasksAsync(server, "fails");
        Assert.Equal(2, tasks.Length);
        string again = tasks.Single(t => t != first);
        await server.BerthAsync("task", "wait", again);
        Assert.Equal(again, (await server.BerthAsync("dlq", "ls", "-q")).Succeed());
        await StopAsync(server);
    }

    [Fact]
    public async Task A_result_is_handed_on_once_wherever_the_server_was_killed()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        (await server.BerthAsync("function", "deploy", "last", "demo/busybox", "tr", "a-z", "A-Z")).Succeed();
        (await server.BerthAsync("function", "deploy", "--on-success", "last", "first", "demo/busybox", "cat"))
            .Succeed();
        await server.KillAsync();

        Plan(server, CrashPoint.ForwardAccepted);
        server.Begin();
        Assert.True(await server.BecomesReadyAsync(), "It was reached before there was a task.");
        string id = (await server.BerthAsync("hello"u8.ToArray(), "function", "invoke", "--async", "first")).Succeed();
        Assert.Equal(137, await server.EndsAsync());
        Plan(server, CrashPoint.ForwardClosed);
        server.Begin();
        Assert.Equal(137, await server.EndsAsync());

        await StartAsync(server);
        string next = Assert.Single(await TasksAsync(server, "last"));
        await server.BerthAsync("task", "wait", next);
        Assert.Equal("HELLO", (await server.BerthAsync("task", "result", next)).Succeed());
        string why = (await server.BerthAsync("why", id)).Succeed();
        Assert.Equal(2, why.Split("Handed on to function 'last'").Length);
        await StopAsync(server);
    }

    [Fact]
    public async Task Dead_letters_whose_time_is_over_are_struck_off_though_the_server_is_killed_at_it()
    {
        string[] flags = ["--dead-letter-retention", "1s", "--result-retention", "1s"];
        await using ServerProcess server = await BusyboxServer.StartAsync(flags);
        (await server.BerthAsync("function", "deploy", "fails", "demo/busybox", "false")).Succeed();
        string id = (await server.BerthAsync("function", "invoke", "--async", "fails")).Succeed();
        await server.BerthAsync("task", "wait", id);
        await server.KillAsync();

        Plan(server, CrashPoint.LettersTrimmed);
        DateTime failed = TimeProvider.System.GetUtcNow().UtcDateTime;
        await Condition.HoldsAsync(
            "its time is over", () => TimeProvider.System.GetUtcNow().UtcDateTime > failed.AddSeconds(1.5));
        server.Begin(flags);
        Assert.Equal(137, await server.EndsAsync());

        await StartAsync(server);
        Assert.Equal("", (await server.BerthAsync("dlq", "ls", "-q")).Succeed());
        Assert.NotEqual(0, (await server.BerthAsync("dlq", "redrive", id)).ExitCode);
        await StopAsync(server);
    }

    private static void Plan(ServerProcess server, CrashPoint point)
    {
        server.Environment["BERTH_TEST_MODE"] = "1";
        server.Environment["BERTH_CRASH_AT"] = $"{point}:1";
    }

    private static async Task StartAsync(ServerProcess server)
    {
        server.Environment.Clear();
        await server.StartAsync();
    }

    private static async Task StopAsync(ServerProcess server)
    {
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task<string[]> TasksAsync(ServerProcess server, string function) =>
        (await server.BerthAsync("task", "ls", "-q", "--label", $"function={function}")).Succeed()
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
