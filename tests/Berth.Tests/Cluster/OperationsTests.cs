using System.Net;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Server.Configuration;
using Berth.Server.Store;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>What docs/operations tells operators of servers that share a store.</summary>
public sealed class OperationsTests
{
    [Fact]
    public async Task The_key_of_all_is_replaced_while_servers_are_restarted_one_by_one()
    {
        await using PostgresCluster postgres = await PostgresCluster.StartAsync("fsync=off", "full_page_writes=off");
        string address = await postgres.NewDatabaseAsync();
        using TemporaryFolder one = new();
        using TemporaryFolder two = new();
        await RestartAsync(address, "one", one);
        string old = await File.ReadAllTextAsync(one["secrets.key"]);
        string fresh = $"2 {RandomNumberGenerator.GetHexString(64, lowercase: true)}\n";
        File.Copy(one["admin.token"], two["admin.token"]);
        string authority = await File.ReadAllTextAsync(one["node-authority.pem"]);

        foreach (string lines in (string[])[fresh + old, old + fresh, fresh])
        {
            foreach ((string name, TemporaryFolder folder) in ((string, TemporaryFolder)[])[("one", one), ("two", two)])
            {
                WriteKeys(folder, lines);
                await RestartAsync(address, name, folder);
            }
        }

        Assert.Equal(authority, await File.ReadAllTextAsync(one["node-authority.pem"]));
        Assert.Equal(authority, await File.ReadAllTextAsync(two["node-authority.pem"]));
        WriteKeys(two, old);
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => RestartAsync(address, "two", two));
        Assert.Contains("secrets.key is not the one of the servers", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_the_database_is_away_metrics_tell_that_and_all_they_know()
    {
        await using PostgresCluster postgres = await PostgresCluster.StartAsync("fsync=off", "full_page_writes=off");
        string address = await postgres.NewDatabaseAsync();
        await using ServerRig server = await StartAsync(address, "one", null);
        string before = await server.Client.GetStringAsync(Metrics);

        await postgres.StopAsync();
        await UntilAsync(() => server.Server.Rooms.Store.Condition == StoreCondition.Failing);
        string away = await server.Client.GetStringAsync(Metrics);

        Assert.Contains("\nberth_store_accepting 1\n", before, StringComparison.Ordinal);
        Assert.Contains("\nberth_tasks{state=\"queued\"} 0\n", before, StringComparison.Ordinal);
        Assert.Contains("\nberth_nodes{state=\"ready\"} 1\n", before, StringComparison.Ordinal);
        Assert.Contains("\nberth_servers 1\n", before, StringComparison.Ordinal);
        Assert.Contains("\nberth_store_accepting 0\n", away, StringComparison.Ordinal);
        Assert.Contains("\nberth_nodes{state=\"ready\"} 1\n", away, StringComparison.Ordinal);
        Assert.DoesNotContain("\nberth_tasks{", away, StringComparison.Ordinal);
        await postgres.StartAsync();
        await UntilAsync(() => server.Server.Rooms.Store.Condition == StoreCondition.Accepting);
    }

    [Fact]
    public async Task The_password_of_the_database_is_changed_while_a_server_runs()
    {
        await using PostgresCluster postgres = await PostgresCluster.StartAsync("fsync=off", "full_page_writes=off");
        await postgres.ExecuteAsync("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'first'");
        await postgres.ExecuteAsync("postgres", "CREATE DATABASE keeper OWNER keeper");
        using TemporaryFolder folder = new();
        string file = folder["store.password"];
        await File.WriteAllTextAsync(file, "first");
        await using ServerRig server = await ServerRig.StartAsync(options => options with
        {
            Store = PostgresCluster.Parse(postgres.AddressOf("keeper", "keeper")),
            StorePasswordFile = file,
        });

        await File.WriteAllTextAsync(file, "second");
        await ChangeAsync("second");
        await UntilAsync(() => SubmitsAsync(server));
        await ChangeAsync("third");
        await UntilAsync(async () => (await ReadyAsync(server)).Contains(
            "The database refuses this server's password", StringComparison.Ordinal));
        bool taken = await SubmitsAsync(server);
        await File.WriteAllTextAsync(file, "third");
        await UntilAsync(() => SubmitsAsync(server));

        Assert.False(taken);
        Assert.DoesNotContain("refuses", await ReadyAsync(server), StringComparison.Ordinal);

        async Task ChangeAsync(string password)
        {
            await postgres.ExecuteAsync("postgres", $"ALTER ROLE keeper PASSWORD '{password}'");
            await postgres.ExecuteAsync(
                "postgres",
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE usename = 'keeper'");
        }
    }

    private static Uri Metrics { get; } = new("/metrics", UriKind.Relative);

    private static void WriteKeys(TemporaryFolder folder, string lines)
    {
        File.WriteAllText(folder["secrets.key"], lines);
        File.SetUnixFileMode(folder["secrets.key"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private static async Task RestartAsync(string address, string name, TemporaryFolder folder)
    {
        await using ServerRig server = await StartAsync(address, name, folder);
        await server.Server.StopAsync(CancellationToken.None);
    }

    private static Task<ServerRig> StartAsync(string address, string name, TemporaryFolder? folder) =>
        ServerRig.StartAsync(
            options => options with
            {
                Store = PostgresCluster.Parse(address),
                NodeName = name,
                NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
            },
            folder);

    private static async Task<bool> SubmitsAsync(ServerRig server)
    {
        using HttpResponseMessage answer = await server.Client.PostAsync("/v1/tasks/demo/echo:1", null);
        return answer.StatusCode == HttpStatusCode.Accepted;
    }

    private static async Task<string> ReadyAsync(ServerRig server)
    {
        using HttpResponseMessage answer = await server.Client.GetAsync("/readyz");
        return await answer.Content.ReadAsStringAsync();
    }

    private static Task UntilAsync(Func<bool> holds) => UntilAsync(() => Task.FromResult(holds()));

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!await holds())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
