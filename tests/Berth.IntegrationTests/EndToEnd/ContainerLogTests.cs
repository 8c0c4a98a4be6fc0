using System.Diagnostics;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What a container wrote, as <c>berth logs</c> tells it while it runs and afterwards.</summary>
[Collection("server")]
public sealed class ContainerLogTests(BusyboxFixture fixture) : IClassFixture<BusyboxFixture>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private ServerProcess Server => fixture.Server;

    [Fact]
    public async Task A_log_is_followed_to_the_containers_end_each_stream_to_its_own()
    {
        await BeginAsync("job");
        using Process follow = Tool.Start(ServerProcess.Executable, ["logs", "-f", "job"], Server.Variables);
        Assert.Equal("one", await follow.StandardOutput.ReadLineAsync(Stop));
        Assert.Equal("two", await follow.StandardOutput.ReadLineAsync(Stop));

        await GoOnAsync("job");
        await Condition.HoldsAsync("who follows the log has ended", () => follow.HasExited);

        Assert.Equal("", await follow.StandardOutput.ReadToEndAsync(Stop));
        Assert.Equal("three\n", await follow.StandardError.ReadToEndAsync(Stop));
        Assert.Equal(0, follow.ExitCode);
        await fixture.BerthAsync("rm", "-f", "job");
    }

    [Fact]
    public async Task A_log_is_cut_by_lines_and_by_time()
    {
        await BeginAsync("job");
        await Condition.HoldsAsync("both lines are in the log", async () =>
            await fixture.BerthAsync("logs", "job") is var seen && seen == "one\ntwo" ? null : seen);
        await GoOnAsync("job");
        Assert.Equal("0", await fixture.BerthAsync("wait", "job"));

        ToolResult last = await Server.BerthAsync("logs", "--tail", "2", "job");
        ToolResult recent = await Server.BerthAsync("logs", "--since", "1h", "job");
        ToolResult none = await Server.BerthAsync("logs", "--since", "1ms", "job");
        ToolResult timed = await Server.BerthAsync("logs", "-t", "job");
        string[] lines = (timed.Text + timed.Error).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] times = [.. lines.Select(l => l.Split(' ')[0])];
        string newest = await Server.Http.GetStringAsync(
            new Uri($"/v1/containers/job/logs?since={times[^1]}", UriKind.Relative), Stop);

        Assert.Equal(("two\n", "three\n"), (last.Text, last.Error));
        Assert.Equal(("one\ntwo\n", "three\n"), (recent.Text, recent.Error));
        Assert.Equal((0, "", ""), (none.ExitCode, none.Text, none.Error));
        Assert.Equal(["one", "two", "three"], lines.Select(l => l.Split(' ')[1]));
        Assert.All(times, t => Assert.True(DateTimeOffset.TryParse(t, out _), t));
        Assert.Equal(times.Order(StringComparer.Ordinal), times);
        Assert.Equal("three\n", newest);
        await fixture.BerthAsync("rm", "job");
    }

    /// <summary>Writes two lines, waits to be let go on, and ends with a third to the other stream.</summary>
    private Task<string> BeginAsync(string name) => fixture.BerthAsync(
        "run", "-d", "--name", name, "demo/busybox", "sh", "-c",
        "trap 'go=1' USR1; echo one; echo two; until [ \"$go\" ]; do sleep 0.02; done; echo three >&2");

    /// <summary>By a signal: a program beside it might still be ending when the container takes it along.</summary>
    private Task<string> GoOnAsync(string name) => fixture.BerthAsync("kill", "--signal", "USR1", name);
}
