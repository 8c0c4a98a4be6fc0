using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Testing.Store;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Two equal servers with one PostgreSQL, and two nodes on machines of their own, which are network namespaces here.
/// All work goes to the nodes. Leaves nothing.
/// </summary>
internal sealed class TwoServers : IAsyncDisposable
{
    private const string Database = "shared";

    private static readonly string[] Workers = ["worker-1", "worker-2"];

    private readonly NamespaceMachines machines;
    private readonly List<MachineProcess> nodes = [];

    private TwoServers(NamespaceMachines machines, PostgresCluster postgres) =>
        (this.machines, Postgres) = (machines, postgres);

    public ServerProcess One { get; } = new();

    public ServerProcess Two { get; } = new();

    public IReadOnlyList<ServerProcess> Servers => [One, Two];

    public IReadOnlyList<MachineProcess> Nodes => nodes;

    public PostgresCluster Postgres { get; }

    public static async Task<TwoServers> StartAsync()
    {
        TwoServers made = new(
            await NamespaceMachines.StartAsync(),
            await PostgresCluster.StartAsync(
                "fsync=off", "full_page_writes=off", $"listen_addresses={StoreHost(1)},{StoreHost(2)}"));
        try
        {
            await made.BeginAsync();
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    /// <summary>Of this process alone, for each server its own; all are the loopback of the machine.</summary>
    public string StoreHostOf(ServerProcess server) => StoreHost(server == One ? 1 : 2);

    /// <summary>Starts a server that has ended, on its own data folder, and waits until it is ready.</summary>
    public Task StartAsync(ServerProcess server) => server.StartAsync(Flags(server));

    /// <summary>Starts a node that has ended, as it was.</summary>
    public void Start(MachineProcess node) => node.Join(AddressOf(One));

    /// <summary>Waits until a server has a link to a node.</summary>
    public static Task LinkedAsync(ServerProcess server, string node) => Condition.HoldsAsync(
        $"{node} is linked to {server.Host}",
        async () => await StateAsync(server, node) is "ready" ? null : server.Log);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await machines.DisposeAsync();
        }
        finally
        {
            await Two.DisposeAsync();
            await One.DisposeAsync();
            await Postgres.DisposeAsync();
        }
    }

    private static string StoreHost(int server) => string.Create(
        CultureInfo.InvariantCulture,
        $"127.{100 + (Environment.ProcessId % 100)}.{Environment.ProcessId / 100 % 250}.{server}");

    private async Task BeginAsync()
    {
        await Postgres.ExecuteAsync("postgres", $"CREATE DATABASE {Database}");
        await BusyboxServer.StartAsync(One, Flags(One));
        Directory.CreateDirectory(
            Two.Data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (string file in (string[])["secrets.key", "admin.token"])
        {
            File.Copy(Path.Combine(One.Data, file), Path.Combine(Two.Data, file));
        }

        await StartAsync(Two);
        foreach (string name in Workers)
        {
            MachineProcess node = await machines.AddAsync(name);
            nodes.Add(node);
            node.Join(AddressOf(One), (await One.BerthAsync("node", "token", "create")).Succeed());
            foreach (ServerProcess server in Servers)
            {
                await LinkedAsync(server, name);
            }
        }

        (await One.BerthAsync("node", "cordon", "one")).Succeed();
        (await One.BerthAsync("node", "cordon", "two")).Succeed();
        await Condition.HoldsAsync("the other one has heard of it", async () =>
        {
            JsonElement node = await Two.Http.GetFromJsonAsync<JsonElement>("/v1/nodes/two");
            return node.GetProperty("cordoned").GetBoolean() ? null : node.ToString();
        });
    }

    private string AddressOf(ServerProcess server) => $"https://{machines.Server}:{server.Port + 1}";

    private string[] Flags(ServerProcess server)
    {
        server.Environment["BERTH_STORE"] =
            $"postgres://{PostgresCluster.User}:{Postgres.Password}@{StoreHostOf(server)}/{Database}";
        return
        [
            "--node-listen", $"{machines.Server}:{server.Port + 1}", "--node-name", server == One ? "one" : "two",
            "--pool-memory", "0",
        ];
    }

    private static async Task<string?> StateAsync(ServerProcess server, string node)
    {
        using HttpResponseMessage answer = await server.Http.GetAsync($"/v1/nodes/{node}");
        return answer.IsSuccessStatusCode
            ? (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("state").GetString()
            : null;
    }
}
