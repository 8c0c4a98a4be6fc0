using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Berth.Server.Access;
using Berth.Server.FunctionEndpoints;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>What one server is told, the others know: whole servers on one PostgreSQL.</summary>
public sealed class SharedRecordTests(SharedPostgres postgres)
{
    [Fact]
    public async Task What_one_server_is_told_the_other_one_knows_and_goes_on_from()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ServerRig one = await StartAsync(address, "one");
        await using ServerRig two = await StartAsync(address, "two", one);

        await PutAsync(one, "one");
        await UntilAsync(() => two.Server.Rooms.Functions.Find("echo")?.Record.Newest.Number == 1);
        // Each on top of what the other one has just done, whether it has heard of it or not.
        for (int round = 0; round < 3; round++)
        {
            await PutAsync(two, $"two-{round}");
            await PutAsync(one, $"one-{round}");
        }

        Assert.Equal(7, one.Server.Rooms.Functions.Get("echo").Record.Newest.Number);
        await UntilAsync(() => two.Server.Rooms.Functions.Find("echo")?.Record.Newest.Number == 7);
        using HttpResponseMessage removed = await two.Client.DeleteAsync(
            new Uri("/v1/functions/echo", UriKind.Relative));
        Assert.True(removed.IsSuccessStatusCode, await removed.Content.ReadAsStringAsync());
        await UntilAsync(() => one.Server.Rooms.Functions.Find("echo") is null);
    }

    [Fact]
    public async Task Changes_of_several_servers_at_once_are_all_made()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ServerRig one = await StartAsync(address, "one");
        await using ServerRig two = await StartAsync(address, "two", one);

        await Task.WhenAll(Enumerable.Range(0, 12).Select(i => PutAsync(i % 2 == 0 ? one : two, $"v{i}")));

        await UntilAsync(() => one.Server.Rooms.Functions.Get("echo").Record.Newest.Number == 12
            && two.Server.Rooms.Functions.Get("echo").Record.Newest.Number == 12);
    }

    [Fact]
    public async Task A_function_is_found_by_who_asks_the_other_server_in_the_same_moment()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using ServerRig one = await StartAsync(address, "one");
        await using ServerRig two = await StartAsync(address, "two", one);

        for (int round = 0; round < 10; round++)
        {
            (ServerRig told, ServerRig asked) = round % 2 == 0 ? (one, two) : (two, one);
            await PutAsync(told, "new", $"echo-{round}");
            using HttpResponseMessage seen = await asked.Client.GetAsync(
                new Uri($"/v1/functions/echo-{round}", UriKind.Relative));
            using HttpResponseMessage called = await asked.Client.PostAsync(
                new Uri($"/v1/functions/echo-{round}@1", UriKind.Relative), new StringContent("a call"));

            Assert.Equal(HttpStatusCode.OK, seen.StatusCode);
            Assert.True(called.IsSuccessStatusCode, await called.Content.ReadAsStringAsync());
        }
    }

    [Fact]
    public async Task Unknown_functions_cost_the_store_so_many_looks_and_no_more()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        ManualTime time = new();
        await using ServerRig one = await StartAsync(address, "one");
        FunctionArrivals arrivals = new(one.Server.Rooms.Functions, one.Server.Rooms.Exit, time);

        int looked = Enumerable.Range(0, 100).Count(i => arrivals.MayHave(RequestFor($"nosuch-{i}")));
        time.Advance(TimeSpan.FromSeconds(1));
        int later = Enumerable.Range(0, 100).Count(i => arrivals.MayHave(RequestFor("nosuch")));
        time.Advance(TimeSpan.FromSeconds(1));
        int others = Enumerable.Range(0, 100).Count(
            _ => arrivals.MayHave(RequestFor("No Name")) || arrivals.MayHave(RequestFor("new", HttpMethods.Put)));
        using HttpResponseMessage answer = await one.Client.GetAsync(
            new Uri("/v1/functions/nosuch", UriKind.Relative));

        Assert.Equal((FunctionArrivals.MostLooks, FunctionArrivals.MostLooks, 0), (looked, later, others));
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    private static DefaultHttpContext RequestFor(string name, string method = "GET")
    {
        DefaultHttpContext context = new();
        context.Request.Method = method;
        context.Request.RouteValues["name"] = name;
        context.SetEndpoint(new Endpoint(
            null,
            new EndpointMetadataCollection(new AccessRow(
                method, "/v1/functions/{name}",
                method == "GET" ? Permission.FunctionRead : Permission.FunctionManage)),
            null));
        return context;
    }

    private static Task<ServerRig> StartAsync(string address, string name, ServerRig? beside = null) =>
        ServerRig.StartAsync(
            options => options with { Store = PostgresCluster.Parse(address), NodeName = name }, beside: beside);

    /// <summary>Deploys a function whose settings differ with the text.</summary>
    private static async Task PutAsync(ServerRig server, string text, string name = "echo")
    {
        using StringContent body = new(
            $$"""{ "image": "{{ServerRig.Image}}", "environment": { "TEXT": "{{text}}" } }""", Encoding.UTF8,
            MediaTypeHeaderValue.Parse("application/json"));
        using HttpResponseMessage response = await server.Client.PutAsync(
            new Uri($"/v1/functions/{name}", UriKind.Relative), body);
        Assert.True(
            response.StatusCode is HttpStatusCode.OK or HttpStatusCode.Created,
            await response.Content.ReadAsStringAsync());
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
