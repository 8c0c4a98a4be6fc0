using System.Net;
using System.Net.Http.Json;
using Berth.Api.Nodes;
using Berth.Core.Runs;
using Berth.Node.Links;
using Berth.Server.Configuration;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Berth.Tests.Links;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Nodes of several servers on one PostgreSQL: each keeps a link to each server.</summary>
public sealed class SharedNodeTests(SharedPostgres postgres) : IAsyncLifetime
{
    private readonly List<JoinedNode> nodes = [];
    private ServerRig one = null!;
    private ServerRig two = null!;

    public async ValueTask InitializeAsync()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        one = await StartAsync(address, "one", null);
        two = await StartAsync(address, "two", one);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (JoinedNode node in nodes)
        {
            await node.DisposeAsync();
        }

        await two.DisposeAsync();
        await one.DisposeAsync();
    }

    [Fact]
    public async Task A_node_that_joins_one_server_works_for_all()
    {
        JoinedNode node = await JoinAsync(one, "worker");
        await UntilAsync(two, "worker", n => n.State == "ready");
        await CordonAsync(one, "one");
        await CordonAsync(one, "two");
        await UntilAsync(two, "two", n => n.Cordoned);

        foreach (ServerRig server in (ServerRig[])[one, two])
        {
            using HttpResponseMessage answer = await server.SendAsync(
                ServerRig.Call(["cat"], new StringContent("there and back")));
            Assert.Equal("there and back", await answer.Content.ReadAsStringAsync());
        }

        Assert.Equal(2, node.Node.Started.Count);
        MachineList here = await ListAsync(one);
        MachineList there = await ListAsync(two);
        Assert.Equal(["one", "two", "worker"], here.Nodes.Select(n => n.Name));
        Assert.Equal(
            here.Nodes.Select(n => (n.Name, n.State, n.Cordoned)),
            there.Nodes.Select(n => (n.Name, n.State, n.Cordoned)));
    }

    [Fact]
    public async Task What_one_server_has_on_a_node_takes_places_of_the_others()
    {
        await JoinAsync(one, "worker", places: 3);
        await UntilAsync(two, "worker", n => n.State == "ready" && n.Places == 3);
        await CordonAsync(one, "one");

        string task = await SubmitAsync(one, "sleep", "600");

        await UntilAsync(two, "worker", n => n.Places == 2);
        Assert.Equal(3, (await SeeAsync(one, "worker")).Places);
        using HttpResponseMessage canceled = await one.Client.PostAsync(
            new Uri($"/v1/runs/{task}/cancel", UriKind.Relative), null);
        canceled.EnsureSuccessStatusCode();
        await UntilAsync(two, "worker", n => n.Places == 3);
    }

    [Fact]
    public async Task A_herd_at_two_servers_fills_the_nodes_and_none_beyond_its_places()
    {
        JoinedNode[] workers = [await JoinAsync(one, "a", places: 3), await JoinAsync(two, "b", places: 3)];
        foreach (ServerRig server in (ServerRig[])[one, two])
        {
            await UntilAsync(server, "a", n => n.State == "ready" && n.Places == 3);
            await UntilAsync(server, "b", n => n.State == "ready" && n.Places == 3);
        }

        await CordonAsync(one, "one");
        await CordonAsync(one, "two");
        await UntilAsync(two, "two", n => n.Cordoned);

        // Twelve at once for six places, each of one second.
        HttpResponseMessage[] answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i =>
            (i % 2 == 0 ? one : two).SendAsync(ServerRig.Call(["sleep", "1"]))));

        foreach (HttpResponseMessage answer in answers)
        {
            using (answer)
            {
                Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
            }
        }

        Assert.Equal([3, 3], workers.Select(w => w.Node.MostRunning));
        Assert.Equal(12, workers.Sum(w => w.Node.Started.Count));
    }

    [Fact]
    public async Task Memory_that_one_server_has_of_a_node_is_not_given_by_the_other()
    {
        JoinedNode worker = await JoinAsync(one, "worker", places: 10);
        await UntilAsync(two, "worker", n => n.State == "ready");
        await CordonAsync(one, "one");
        await CordonAsync(one, "two");
        await UntilAsync(two, "two", n => n.Cordoned);
        // Of its four GiB.
        (string, string) large = ("Berth-Memory", "3GiB");
        Task<HttpResponseMessage> first = one.SendAsync(ServerRig.Call(["sleep", "2"], null, "call", large));
        await UntilAsync(one, "worker", n => n.Running == 1);

        using HttpResponseMessage second = await two.SendAsync(ServerRig.Call(["true"], null, "call", large));

        using HttpResponseMessage answer = await first;
        Assert.True(second.IsSuccessStatusCode, await second.Content.ReadAsStringAsync());
        Assert.True(answer.IsSuccessStatusCode);
        Assert.Equal(2, worker.Node.Started.Count);
        Assert.Equal(1, worker.Node.MostRunning);
    }

    [Fact]
    public async Task A_node_whose_server_is_gone_goes_on_for_the_other()
    {
        await JoinAsync(one, "worker");
        await UntilAsync(two, "worker", n => n.State == "ready");
        await CordonAsync(two, "two");

        await one.Server.StopAsync(CancellationToken.None);

        using HttpResponseMessage answer = await two.SendAsync(
            ServerRig.Call(["cat"], new StringContent("still here")));
        Assert.Equal("still here", await answer.Content.ReadAsStringAsync());
        Assert.Equal("lost", (await UntilAsync(two, "one", n => n.State == "lost")).State);
    }

    [Fact]
    public async Task A_node_that_is_removed_at_one_server_is_refused_by_all()
    {
        await JoinAsync(one, "worker");
        await UntilAsync(two, "worker", n => n.State == "ready");

        using HttpResponseMessage removed = await two.Client.DeleteAsync(
            new Uri("/v1/nodes/worker", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);

        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (one.Server.Rooms.Nodes.Register.All.Any(n => n.Name == "worker"))
        {
            await Task.Delay(20, limit.Token);
        }

        using HttpResponseMessage own = await two.Client.DeleteAsync(new Uri("/v1/nodes/one", UriKind.Relative));
        Assert.Equal(HttpStatusCode.Conflict, own.StatusCode);
    }

    private static Task<ServerRig> StartAsync(string address, string name, ServerRig? beside) => ServerRig.StartAsync(
        options => options with
        {
            Store = PostgresCluster.Parse(address),
            NodeName = name,
            NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
        },
        beside: beside);

    private async Task<JoinedNode> JoinAsync(ServerRig server, string name, int places = 4)
    {
        using HttpResponseMessage answer = await server.Client.PostAsJsonAsync(
            "/v1/node-tokens", new JoinTokenRequest(null), NodeJson.Default.JoinTokenRequest);
        JoinTokenCreated token = (await answer.Content.ReadFromJsonAsync(NodeJson.Default.JoinTokenCreated))!;
        TemporaryFolder folder = new();
        Uri gate = server.Server.Rooms.Nodes.Addresses[0];
        NodeIdentity identity = await ServerDoor.JoinAsync(
            gate, token.Token, name, new Dictionary<string, string>(), folder.Path, TimeProvider.System,
            CancellationToken.None);
        JoinedNode node = await JoinedNode.StartAsync(folder, identity, gate, places, null);
        nodes.Add(node);
        return node;
    }

    private static async Task<string> SubmitAsync(ServerRig server, params string[] command)
    {
        using HttpResponseMessage answer = await server.SendAsync(ServerRig.Call(command, route: "tasks"));
        answer.EnsureSuccessStatusCode();
        string id = System.Text.Json.JsonDocument.Parse(await answer.Content.ReadAsStringAsync())
            .RootElement.GetProperty("id").GetString()!;
        return RunId.Parse(id).Text;
    }

    private static async Task CordonAsync(ServerRig server, string node)
    {
        using HttpResponseMessage answer = await server.Client.PostAsync(
            new Uri($"/v1/nodes/{node}/cordon", UriKind.Relative), null);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    private static Task<MachineList> ListAsync(ServerRig server) =>
        server.Client.GetFromJsonAsync("/v1/nodes", NodeJson.Default.MachineList)!;

    private static async Task<MachineView> SeeAsync(ServerRig server, string name) =>
        (await ListAsync(server)).Nodes.Single(n => n.Name == name);

    private static async Task<MachineView> UntilAsync(
        ServerRig server, string name, Func<MachineView, bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (true)
        {
            MachineView? view = (await ListAsync(server)).Nodes.FirstOrDefault(n => n.Name == name);
            if (view is not null && condition(view))
            {
                return view;
            }

            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException($"The node {name} is still {view}.");
            }

            await Task.Delay(20);
        }
    }
}
