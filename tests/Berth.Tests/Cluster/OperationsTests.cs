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

    private static async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            await Task.Delay(20, limit.Token);
        }
    }
}
