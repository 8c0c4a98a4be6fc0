using System.Net;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>What a function's programs wrote, over HTTP; with a node in memory.</summary>
public sealed class FunctionLogTests : ServedTest
{
    [Theory]
    [InlineData("", "a1 a2 b1 b2 c1 c2")]
    [InlineData("?tail=3", "b2 c1 c2")]
    [InlineData("?tail=0", "")]
    [InlineData("?revision=1", "a1 a2 b1 b2")]
    [InlineData("?revision=2&tail=1", "c2")]
    [InlineData("?since=1h", "a1 a2 b1 b2 c1 c2")]
    [InlineData("?since=2100-01-01T00:00:00Z", "")]
    public async Task Lines_of_calls_come_together_behind_the_ids_of_their_runs(string query, string expected)
    {
        await DeployAsync("said", null);
        string[] ids = [await CallAsync("said"), await CallAsync("said"), ""];
        await DeployAsync("said", "64Mi");
        ids[2] = await CallAsync("said");
        await DeployAsync("other", null);
        await CallAsync("other");

        string text = await Rig.Client.GetStringAsync("/v1/logs/said" + query, Token);

        string[][] lines = [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' '))];
        Assert.Equal(expected, string.Join(' ', lines.Select(l => "abc"[Array.IndexOf(ids, l[0])] + l[1])));
    }

    [Fact]
    public async Task A_follower_gets_what_was_and_what_later_calls_write_until_the_function_is_removed()
    {
        await DeployAsync("said", null);
        await CallAsync("said");
        await using Stream log = await Client.Functions.OpenLogsAsync(
            "said", null, new LogOptions(Follow: true, Timestamps: true), Token);
        using StreamReader lines = new(log);

        Assert.Matches(@"\A[0-9a-z]{26} \d{4}-\S+Z 1\z", await lines.ReadLineAsync(Token));
        Assert.EndsWith(" 2", await lines.ReadLineAsync(Token), StringComparison.Ordinal);
        string second = await CallAsync("said");
        string? line = await lines.ReadLineAsync(Token);
        Assert.StartsWith(second, line, StringComparison.Ordinal);
        Assert.EndsWith(" 1", line, StringComparison.Ordinal);
        Assert.EndsWith(" 2", await lines.ReadLineAsync(Token), StringComparison.Ordinal);
        await Client.Functions.RemoveAsync("said", Token);
        Assert.Null(await lines.ReadLineAsync(Token));
    }

    [Theory]
    [InlineData("nothing", 404)]
    [InlineData("said?revision=2", 404)]
    [InlineData("said?revision=x", 400)]
    [InlineData("said?folow=true", 400)]
    public async Task What_is_not_there_is_told_before_the_answer_begins(string path, int status)
    {
        await DeployAsync("said", null);

        using HttpResponseMessage response = await Rig.GetAsync("/v1/logs/" + path);

        Assert.Equal((HttpStatusCode)status, response.StatusCode);
    }

    private Task<FunctionDeployment> DeployAsync(string name, string? memory) => Client.Functions.DeployAsync(
        name,
        new FunctionRequest(
            ServerRig.Image, ["sh", "-c", "echo 1 >&2; echo 2 >&2"], Memory: memory),
        Token);

    private async Task<string> CallAsync(string name)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/" + name)
        {
            Content = new StringContent(""),
        };
        using HttpResponseMessage answer = await Rig.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await answer.Content.ReadAsStringAsync(Token);
        return answer.Headers.GetValues("Berth-Run-Id").Single();
    }
}
