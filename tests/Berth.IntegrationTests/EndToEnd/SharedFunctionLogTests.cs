using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What a function's programs wrote, at any of two servers with one PostgreSQL and nodes on other machines.
/// </summary>
[Collection("containers")]
public sealed class SharedFunctionLogTests
{
    [Fact]
    public async Task Function_logs_at_any_server_have_the_lines_of_all_and_name_a_server_that_is_away()
    {
        await using TwoServers servers = await TwoServers.StartAsync();
        (await servers.One.BerthAsync(
            "function", "deploy", "tells", "demo/busybox", "sh", "-c", "read who; echo told by $who >&2")).Succeed();
        await CallAsync(servers.One, "one");
        await CallAsync(servers.Two, "two");
        await CallAsync(servers.One, "three");
        string[] all = ["told by one", "told by two", "told by three"];

        foreach (ServerProcess server in servers.Servers)
        {
            // The records of calls come to the store after their answers.
            await Condition.HoldsAsync("all is told", async () =>
            {
                string log = (await server.BerthAsync("function", "logs", "tells")).Succeed();
                return all.SequenceEqual(log.Split('\n').Select(l => l[(l.IndexOf(' ') + 1)..])) ? null : log;
            });
            string last = (await server.BerthAsync("function", "logs", "--tail", "2", "tells")).Succeed();
            Assert.Equal(all[1..], last.Split('\n').Select(l => l[(l.IndexOf(' ') + 1)..]));
        }

        Task<ToolResult> following = servers.Two.BerthAsync("function", "logs", "--follow", "tells");
        await CallAsync(servers.One, "four");
        await CallAsync(servers.Two, "five");
        await Condition.HoldsAsync(
            "both are told",
            async () => (await servers.Two.BerthAsync("function", "logs", "tells")).Succeed() is var log
                && log.Contains("four", StringComparison.Ordinal) && log.Contains("five", StringComparison.Ordinal)
                ? null
                : log);
        await servers.One.KillAsync();
        await Condition.HoldsAsync("what is missing is told", async () =>
        {
            string log = (await servers.Two.BerthAsync("function", "logs", "tells")).Succeed();
            return log.Contains("[berth: the server 'one' ", StringComparison.Ordinal) ? null : log;
        });
        string left = (await servers.Two.BerthAsync("function", "logs", "tells")).Succeed();
        Assert.Contains("told by two", left, StringComparison.Ordinal);
        Assert.DoesNotContain("told by one", left, StringComparison.Ordinal);

        (await servers.Two.BerthAsync("function", "rm", "tells")).Succeed();
        string followed = (await following).Succeed();
        Assert.Contains("told by four", followed, StringComparison.Ordinal);
        Assert.Contains("told by five", followed, StringComparison.Ordinal);
    }

    private static async Task CallAsync(ServerProcess server, string who) =>
        (await server.BerthAsync(
            System.Text.Encoding.UTF8.GetBytes(who + "\n"), "function", "invoke", "tells")).Succeed();
}
