using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>A function's log at any of two whole servers, which have a part of it each.</summary>
public sealed class SharedFunctionLogTests(SharedPostgres postgres)
{
    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_server_tells_the_lines_of_all_by_time()
    {
        await using ServerPair pair = await StartAsync();
        string[] ids = [await CallAsync(pair.One), await CallAsync(pair.Two), await CallAsync(pair.One)];
        string all = string.Concat(ids.SelectMany(id => (string[])[$"{id} 1\n", $"{id} 2\n"]));

        foreach (ServerRig server in pair.Both)
        {
            await ServerPair.UntilAsync(
                async () => await server.Client.GetStringAsync("/v1/logs/said", Soon) == all);
            Assert.Equal(
                $"{ids[1]} 2\n{ids[2]} 1\n{ids[2]} 2\n",
                await server.Client.GetStringAsync("/v1/logs/said?tail=3&revision=1", Soon));
        }
    }

    [Fact]
    public async Task A_follower_at_one_server_gets_lines_of_the_other_until_the_function_is_removed()
    {
        await using ServerPair pair = await StartAsync();
        await CallAsync(pair.Two);
        using BerthClient client = ClientOf(pair.One);
        await using Stream log = await client.Functions.OpenLogsAsync("said", null, new LogOptions(Follow: true), Soon);
        using StreamReader lines = new(log);

        Assert.EndsWith(" 1", await lines.ReadLineAsync(Soon), StringComparison.Ordinal);
        Assert.EndsWith(" 2", await lines.ReadLineAsync(Soon), StringComparison.Ordinal);
        foreach (ServerRig server in pair.Both)
        {
            string run = await CallAsync(server);
            Assert.Equal(run + " 1", await lines.ReadLineAsync(Soon));
            Assert.Equal(run + " 2", await lines.ReadLineAsync(Soon));
        }

        await client.Functions.RemoveAsync("said", Soon);
        Assert.Null(await lines.ReadLineAsync(Soon));
    }

    [Fact]
    public async Task Of_a_server_that_has_gone_is_told_that_its_lines_are_missing()
    {
        await using ServerPair pair = await StartAsync();
        string here = await CallAsync(pair.One);
        string there = await CallAsync(pair.Two);
        await ServerPair.UntilAsync(
            async () => (await pair.One.Client.GetStringAsync("/v1/logs/said", Soon)).Contains(there));

        await pair.Two.Server.StopAsync(CancellationToken.None);
        string log = await pair.One.Client.GetStringAsync("/v1/logs/said", Soon);

        Assert.Matches(
            $@"\A\[berth: the server 'two' .+: its lines are missing here\]\n{here} 1\n{here} 2\n\z", log);
    }

    private async Task<ServerPair> StartAsync()
    {
        ServerPair pair = await ServerPair.StartAsync(postgres);
        using BerthClient client = ClientOf(pair.One);
        await client.Functions.DeployAsync(
            "said", new FunctionRequest(ServerRig.Image, ["sh", "-c", "echo 1 >&2; echo 2 >&2"]), Soon);
        return pair;
    }

    private static BerthClient ClientOf(ServerRig server) =>
        new(server.Address, server.AdminToken, TimeProvider.System);

    private static async Task<string> CallAsync(ServerRig server)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/said")
        {
            Content = new StringContent(""),
        };
        using HttpResponseMessage answer = await server.SendAsync(request, Soon);
        string text = await answer.Content.ReadAsStringAsync(Soon);
        Assert.True(answer.IsSuccessStatusCode, text);
        return answer.Headers.GetValues("Berth-Run-Id").Single();
    }
}
