using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Server.Configuration;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Containers are the server's that made them: what another one of the same store answers.</summary>
public sealed class SharedContainerTests(SharedPostgres postgres)
{
    [Fact]
    public async Task A_server_that_is_asked_for_another_one_s_container_says_whose_it_is()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ServerRig one = await StartAsync(address, "one", null);
        await using ServerRig two = await StartAsync(address, "two", one);
        string id = await CreateAsync(two, "web");
        await UntilAsync(
            "the other server is known",
            () => one.Server.Rooms.Nodes.Directory.Find(NameOf(two)) is not null);

        foreach (string reference in (string[])["web", id, id[..12]])
        {
            foreach (string path in (string[])["", "/logs", "/stats", "/processes", "/path?path=/"])
            {
                Assert.Equal(
                    (HttpStatusCode.NotFound,
                        $"The container '{reference}' is kept by the server 'two': ask that one, with its address in "
                        + "BERTH_HOST."),
                    await AskAsync(one, HttpMethod.Get, reference + path));
            }

            Assert.Contains("'two'", (await AskAsync(one, HttpMethod.Post, reference + "/start")).Text);
            Assert.Contains("'two'", (await AskAsync(one, HttpMethod.Delete, reference)).Text);
        }

        Assert.Equal(HttpStatusCode.OK, (await AskAsync(two, HttpMethod.Get, "web")).Code);
        Assert.Contains("There is no container 'nosuch'", (await AskAsync(one, HttpMethod.Get, "nosuch")).Text);
        Assert.Contains("There is no container 'nosuch'", (await AskAsync(two, HttpMethod.Get, "nosuch")).Text);

        await two.Server.StopAsync(CancellationToken.None);
        await UntilAsync(
            "it is seen that it is gone",
            () => one.Server.Rooms.Nodes.Directory.Find(NameOf(two)) is null or { IsGone: true });
        string gone = (await AskAsync(one, HttpMethod.Get, "web")).Text;
        Assert.Contains("the server 'two', which is gone: it is had again", gone, StringComparison.Ordinal);
    }

    private static string NameOf(ServerRig server) =>
        ((Berth.Server.Store.IClusterStore)server.Server.Rooms.Store).Self;

    private static async Task<string> CreateAsync(ServerRig server, string name)
    {
        using HttpResponseMessage answer = await server.Client.PostAsJsonAsync(
            Here("/v1/containers"), new ContainerRequest(ServerRig.Image, name, ["cat"]),
            ContainerJson.Default.ContainerRequest);
        return (await answer.Content.ReadFromJsonAsync(ContainerJson.Default.ContainerView))!.Id;
    }

    private static async Task<(HttpStatusCode Code, string Text)> AskAsync(
        ServerRig server, HttpMethod method, string path)
    {
        using HttpRequestMessage request = new(method, Here($"/v1/containers/{path}"));
        using HttpResponseMessage answer = await server.Client.SendAsync(request);
        using JsonDocument body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        return (answer.StatusCode, body.RootElement.TryGetProperty("detail", out JsonElement detail)
            ? detail.GetString()! : "");
    }

    private static Uri Here(string path) => new(path, UriKind.Relative);

    private static Task<ServerRig> StartAsync(string address, string name, ServerRig? beside) => ServerRig.StartAsync(
        options => options with
        {
            Store = PostgresCluster.Parse(address),
            NodeName = name,
            NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
        },
        beside: beside);

    private static async Task UntilAsync(string what, Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            Assert.False(limit.IsCancellationRequested, $"It is not so that {what}.");
            await Task.Delay(20, CancellationToken.None);
        }
    }
}
