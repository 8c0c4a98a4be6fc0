using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Placement;
using Berth.Node.Links;
using Berth.Server.Configuration;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Berth.Tests.Links;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Volumes of nodes that several servers on one PostgreSQL share.</summary>
public sealed class SharedVolumeTests(SharedPostgres postgres) : IAsyncLifetime
{
    private readonly List<JoinedNode> nodes = [];
    private ServerRig one = null!;
    private ServerRig two = null!;

    private ServerRig[] Servers => [one, two];

    public async ValueTask InitializeAsync()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        one = await StartAsync(address, "one", null);
        two = await StartAsync(address, "two", one);
        await JoinAsync("worker-1");
        await JoinAsync("worker-2");
        foreach (string own in (string[])["one", "two"])
        {
            using HttpResponseMessage answer = await one.Client.PostAsync(Here($"/v1/nodes/{own}/cordon"), null);
            answer.EnsureSuccessStatusCode();
        }

        foreach (ServerRig server in Servers)
        {
            await UntilAsync("all is known", async () =>
            {
                MachineList seen = (await server.Client.GetFromJsonAsync(
                    Here("/v1/nodes"), NodeJson.Default.MachineList))!;
                // The list tells of a cordon before work is placed by it.
                return server.Server.Rooms.Nodes.Fleet.StateOf(null) == NodeAvailability.Cordoned
                    && seen.Nodes.Count(n => n is { State: "ready", Cordoned: false }) == nodes.Count
                    && seen.Nodes.Count == nodes.Count + Servers.Length;
            });
        }
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
    public async Task A_first_use_at_two_servers_at_once_is_on_one_machine()
    {
        for (int round = 0; round < 10; round++)
        {
            string[] volumes = [$"aa{round}:/a", $"bb{round}:/b"];
            HttpResponseMessage[] answers = await Task.WhenAll(Servers.Select(s => CallAsync(s, volumes)));

            foreach (HttpResponseMessage answer in answers)
            {
                Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
            }

            string?[] homes =
            [
                .. await Task.WhenAll(Servers.SelectMany(s => volumes.Select(v => HomeAsync(s, v[..v.IndexOf(':')])))),
                await NodeOfAsync(one, answers[0]), await NodeOfAsync(two, answers[1]),
            ];
            Assert.Single(homes.Distinct());
        }

        Assert.Equal(
            20, (await Task.WhenAll(nodes.Select(n => n.Node.Storage.VolumesAsync(CancellationToken.None))))
                .Sum(volumes => volumes.Count));
    }

    [Fact]
    public async Task One_server_knows_what_the_other_one_made_and_removes_it_only_when_nothing_has_it()
    {
        using HttpResponseMessage made = await one.Client.PostAsJsonAsync(
            Here("/v1/volumes"), new VolumeRequest("pages", "worker-2"), ContainerJson.Default.VolumeRequest);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        await UntilAsync("the other server knows", async () => await HomeAsync(two, "pages") == "worker-2");
        using HttpRequestMessage submission = With(
            ServerRig.Call(["sleep", "600"], route: "tasks"), ["pages:/srv"]);
        using HttpResponseMessage submitted = await two.SendAsync(submission);
        string task = JsonDocument.Parse(await submitted.Content.ReadAsStringAsync())
            .RootElement.GetProperty("id").GetString()!;
        await UntilAsync("it runs", () => Task.FromResult(nodes[1].Node.Running == 1));

        using HttpResponseMessage busy = await one.Client.DeleteAsync(Here("/v1/volumes/pages"));
        using HttpResponseMessage canceled = await two.Client.PostAsync(Here($"/v1/runs/{task}/cancel"), null);
        HttpStatusCode removed = default;
        await UntilAsync("it is removed", async () =>
        {
            using HttpResponseMessage answer = await one.Client.DeleteAsync(Here("/v1/volumes/pages"));
            removed = answer.StatusCode;
            return removed != HttpStatusCode.Conflict;
        });

        Assert.Equal(HttpStatusCode.Conflict, busy.StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, removed);
        await UntilAsync("the other server knows", async () =>
        {
            using HttpResponseMessage gone = await two.Client.GetAsync(Here("/v1/volumes/pages"));
            return gone.StatusCode == HttpStatusCode.NotFound;
        });
        Assert.Empty(await nodes[1].Node.Storage.VolumesAsync(CancellationToken.None));
    }

    private static Uri Here(string path) => new(path, UriKind.Relative);

    private static HttpRequestMessage With(HttpRequestMessage request, string[] volumes)
    {
        request.Headers.Add("Berth-Volume", volumes.Select(Uri.EscapeDataString));
        return request;
    }

    private static Task<HttpResponseMessage> CallAsync(ServerRig server, string[] volumes) =>
        server.SendAsync(With(ServerRig.Call(["cat"], new StringContent("x")), volumes));

    private static async Task<string?> HomeAsync(ServerRig server, string volume)
    {
        using HttpResponseMessage answer = await server.Client.GetAsync(Here($"/v1/volumes/{volume}"));
        return answer.IsSuccessStatusCode
            ? (await answer.Content.ReadFromJsonAsync(ContainerJson.Default.VolumeView))!.Node
            : null;
    }

    private static async Task<string?> NodeOfAsync(ServerRig server, HttpResponseMessage answer) =>
        (await server.Client.GetFromJsonAsync(
            Here($"/v1/runs/{answer.Headers.GetValues("Berth-Run-Id").Single()}"), RunJson.Default.RunView))!.Node;

    private static Task<ServerRig> StartAsync(string address, string name, ServerRig? beside) => ServerRig.StartAsync(
        options => options with
        {
            Store = PostgresCluster.Parse(address),
            NodeName = name,
            NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
        },
        beside: beside);

    private static async Task UntilAsync(string what, Func<Task<bool>> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!await holds())
        {
            Assert.False(limit.IsCancellationRequested, $"It is not so that {what}.");
            await Task.Delay(20, CancellationToken.None);
        }
    }

    private async Task JoinAsync(string name)
    {
        using HttpResponseMessage answer = await one.Client.PostAsJsonAsync(
            Here("/v1/node-tokens"), new JoinTokenRequest(null), NodeJson.Default.JoinTokenRequest);
        JoinTokenCreated token = (await answer.Content.ReadFromJsonAsync(NodeJson.Default.JoinTokenCreated))!;
        TemporaryFolder folder = new();
        Uri gate = one.Server.Rooms.Nodes.Addresses[0];
        NodeIdentity identity = await ServerDoor.JoinAsync(
            gate, token.Token, name, new Dictionary<string, string>(), folder.Path, TimeProvider.System,
            CancellationToken.None);
        nodes.Add(await JoinedNode.StartAsync(folder, identity, gate, 4, null));
    }
}
