using System.Globalization;
using Berth.Testing.Store;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Networks of two servers with one store, each on a machine of its own, and of a node that is linked to both.
/// </summary>
[Collection("server")]
public sealed class SharedOverlayTests : IAsyncLifetime
{
    private const string Database = "shared";

    private NamespaceMachines machines = null!;
    private PostgresCluster postgres = null!;
    private ServerProcess one = null!;
    private ServerProcess two = null!;
    private MachineProcess worker = null!;

    public async ValueTask InitializeAsync()
    {
        machines = await NamespaceMachines.StartAsync();
        postgres = await PostgresCluster.StartAsync("fsync=off", "full_page_writes=off");
        await postgres.ExecuteAsync("postgres", $"CREATE DATABASE {Database}");
        MachineProcess second = await machines.AddAsync("second");
        one = new ServerProcess();
        two = new ServerProcess { Space = second.Namespace };
        await NetworkServer.StartAsync(one, Flags(one, "one", machines.Server));
        Directory.CreateDirectory(
            two.Data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (string file in (string[])["secrets.key", "admin.token"])
        {
            File.Copy(Path.Combine(one.Data, file), Path.Combine(two.Data, file));
        }

        await two.StartAsync(Flags(two, "two", second.Address));
        worker = await machines.AddAsync("worker");
        worker.Join(
            $"https://{machines.Server}:{one.Port + 1}", (await one.BerthAsync("node", "token", "create")).Succeed());
        foreach (ServerProcess server in (ServerProcess[])[one, two])
        {
            await Condition.HoldsAsync("the node is linked", async () =>
                (await server.BerthAsync("node", "inspect", "worker")).Text is var told
                && told.Contains("\"ready\"", StringComparison.Ordinal) ? null : $"{told}; {worker.Log}; {server.Log}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await machines.DisposeAsync();
        await two.DisposeAsync();
        await one.DisposeAsync();
        await postgres.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Programs_on_each_server_s_own_machine_find_each_other_and_those_on_nodes(bool isEncrypted)
    {
        Assert.SkipUnless(
            !isEncrypted || Encryptors.IsInstalled, "wireguard-go is not installed: run eng/prerequisites.sh test.");
        (await one.BerthAsync(
            ["network", "create", "--driver", "overlay", .. isEncrypted ? (string[])["--encrypted"] : [], "wide"]))
            .Succeed();
        await KnownAsync(two, "wide");
        await ServeAsync(one, "first");
        await ServeAsync(two, "second");

        await AnswersAsync(one, "one", "second");
        await AnswersAsync(two, "two", "first");
        await AnswersAsync(one, "worker", "first");
        await AnswersAsync(one, "worker", "second");
        await AnswersAsync(two, "worker", "second");
        (await two.BerthAsync("rm", "-f", "second")).Succeed();
        await Condition.HoldsAsync("what is gone is not found", async () =>
            await TryAsync(one, "one", "busybox nslookup second | busybox tail -n 2") is var told
            && told.EndsWith("NXDOMAIN", StringComparison.Ordinal) ? null : told);

        // A server that comes back says its names again.
        Assert.Equal(0, await one.StopAsync());
        await one.StartAsync(Flags(one, "one", machines.Server));
        (await one.BerthAsync("start", "first")).Succeed();
        await AnswersAsync(two, "two", "first");
        (await one.BerthAsync("rm", "-f", "first")).Succeed();
        (await one.BerthAsync("network", "rm", "wide")).Succeed();
        Assert.Equal(0, await two.StopAsync());
        Assert.Equal(0, await one.StopAsync());
        await ServerTraces.AreGoneAsync(two);
        await ServerTraces.AreGoneAsync(one);
    }

    private string[] Flags(ServerProcess server, string name, string address)
    {
        server.Environment["BERTH_STORE"] = postgres.AddressOf(Database);
        return
        [
            "--node-listen", string.Create(CultureInfo.InvariantCulture, $"{address}:{server.Port + 1}"),
            "--node-name", name, "--pool-memory", "0",
        ];
    }

    private static Task KnownAsync(ServerProcess server, string network) => Condition.HoldsAsync(
        "the other server has heard of the network and has a part of it", async () =>
        {
            ToolResult told = await server.BerthAsync("network", "inspect", network);
            return told.Text.Contains("\"node\": \"two\"", StringComparison.Ordinal) ? null : told.Text + told.Error;
        });

    private static async Task ServeAsync(ServerProcess server, string name) => (await server.BerthAsync(
        "run", "-d", "--name", name, "--network", "wide", "demo/net", "sh", "-c", NetworkServer.Serve(name))).Succeed();

    private Task AnswersAsync(ServerProcess server, string node, string name) => Condition.HoldsAsync(
        $"{name} answers on {node}",
        async () => await TryAsync(server, node, $"get {name} 80") is var page && page == name
            ? null
            : $"'{page}'; {server.Log}; {worker.Log}");

    private static async Task<string> TryAsync(ServerProcess server, string node, string script) =>
        (await server.BerthAsync(
            "run", "--constraint", $"node={node}", "--network", "wide", "demo/net", "bash", "-c",
            NetworkServer.Get + script)).Succeed();
}
