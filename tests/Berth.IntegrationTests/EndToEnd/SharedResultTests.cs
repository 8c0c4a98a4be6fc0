using System.Text;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>One result for equal calls, with real programs: what is kept, and that nothing of it outlasts the server.
/// </summary>
[Collection("server")]
public sealed class SharedResultTests
{
    /// <summary>Another answer with each run, too long to be held in memory.</summary>
    private const string Script = "cat; cat /proc/sys/kernel/random/uuid; head -c 100000 /dev/zero";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("strict")]
    [InlineData("single-use")]
    [InlineData("reused")]
    public async Task A_result_is_kept_for_equal_calls_and_no_longer_than_the_server(string isolation)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        (await server.BerthAsync(
            "function", "deploy", "--cache", "1h", "--single-flight", "--isolation", isolation, "stamp", "demo/busybox",
            "sh", "-c", Script)).Succeed();

        (string How, string Text) first = await CallAsync(server, "a");
        (string How, string Text) again = await CallAsync(server, "a");
        (string How, string Text) other = await CallAsync(server, "b");
        string[] files = [.. Directory.EnumerateFiles(Path.Combine(server.Data, "overflow"))];
        await server.KillAsync();
        string[] left = [.. Directory.EnumerateFiles(Path.Combine(server.Data, "overflow"))];
        await server.StartAsync();
        (string How, string Text) anew = await CallAsync(server, "a");

        Assert.Equal(("miss", "hit", "miss", "miss"), (first.How, again.How, other.How, anew.How));
        Assert.Equal(first.Text, again.Text);
        Assert.StartsWith("a", first.Text, StringComparison.Ordinal);
        Assert.EndsWith(new string('\0', 100_000), first.Text, StringComparison.Ordinal);
        Assert.Equal(3, new[] { first.Text[1..], other.Text[1..], anew.Text[1..] }.Distinct().Count());
        Assert.Empty(files);
        Assert.Empty(left);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Settings_are_told_and_wrong_ones_refused()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        string[] deploy = ["function", "deploy"];
        string[] program = ["f", "demo/busybox", "cat"];
        ToolResult forever = await server.BerthAsync([.. deploy, "--cache", "forever", .. program]);
        ToolResult http = await server.BerthAsync([.. deploy, "--cache", "1m", "--contract", "http", .. program]);
        (await server.BerthAsync([.. deploy, .. program])).Succeed();
        (await server.BerthAsync([.. deploy, "--cache", "90s", "--single-flight", .. program])).Succeed();
        string changed = (await server.BerthAsync("function", "diff", "f")).Succeed();

        Assert.Contains("cache = 'forever' can't be used", forever.Error, StringComparison.Ordinal);
        Assert.Contains("a function with the http contract has none", http.Error, StringComparison.Ordinal);
        Assert.Contains("cache", changed, StringComparison.Ordinal);
        Assert.Contains("90s", changed, StringComparison.Ordinal);
        Assert.Contains("singleFlight", changed, StringComparison.Ordinal);
    }

    private static async Task<(string How, string Text)> CallAsync(ServerProcess server, string body)
    {
        using HttpResponseMessage answer = await server.Http.PostAsync(
            "/v1/functions/stamp", new ByteArrayContent(Encoding.UTF8.GetBytes(body)), Token);
        answer.EnsureSuccessStatusCode();
        return (answer.Headers.GetValues("Berth-Cache").Single(), await answer.Content.ReadAsStringAsync(Token));
    }
}
