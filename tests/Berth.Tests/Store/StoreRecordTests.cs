using Berth.Server.Nodes;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Content;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Store;

public sealed class SqliteRecordTests : StoreRecordContract
{
    private readonly TemporaryFolder folder = new();

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Dispose();
    }

    protected override async Task<IRunStore> OpenAsync() => await SqliteRunStore.OpenAsync(
        folder["berth.db"], SqliteRunStore.DefaultBallast, NullLogger<SqliteRunStore>.Instance, CancellationToken.None);
}

public sealed class PostgresRecordTests(SharedPostgres postgres) : StoreRecordContract
{
    private string? address;

    protected override async Task<IRunStore> OpenAsync()
    {
        address ??= await (await postgres.Cluster).NewDatabaseAsync();
        return await PostgresStore.OpenAsync(
            PostgresCluster.Parse(address), "one", TimeProvider.System, NullLogger<PostgresStore>.Instance,
            CancellationToken.None);
    }

    [Fact]
    public async Task A_node_that_another_server_has_changed_is_read_again_before_it_is_written()
    {
        string shared = await (await postgres.Cluster).NewDatabaseAsync();
        await using PostgresStore one = await OpenAsync(shared, "one");
        await using PostgresStore two = await OpenAsync(shared, "two");
        NodeRecord worker = await ((INodeStore)one).PutNodeAsync(
            new NodeRecord(
                "worker", ["ab12"], DateTimeOffset.UnixEpoch, null, new Dictionary<string, string>(), [], false),
            CancellationToken.None);
        NodeRecord there = Assert.Single(await ((INodeStore)two).AllNodesAsync(CancellationToken.None));

        await ((INodeStore)two).PutNodeAsync(there with { IsCordoned = true }, CancellationToken.None);
        await Assert.ThrowsAsync<StaleRecordsException>(
            () => ((INodeStore)one).PutNodeAsync(worker with { Taints = ["gpu"] }, CancellationToken.None));
        NodeNews news = await ((IClusterStore)one).NewNodesAsync(CancellationToken.None);
        await ((INodeStore)two).DeleteNodeAsync("worker", CancellationToken.None);
        NodeNews gone = await ((IClusterStore)one).NewNodesAsync(CancellationToken.None);

        Assert.True(Assert.Single(news.Changed).IsCordoned);
        Assert.Equal("worker", Assert.Single(gone.Removed));
        Assert.Empty(gone.Changed);
        Assert.Empty((await ((IClusterStore)one).NewNodesAsync(CancellationToken.None)).Removed);
    }

    [Fact]
    public async Task A_document_that_another_server_has_replaced_is_read_again_before_it_is_written()
    {
        string shared = await (await postgres.Cluster).NewDatabaseAsync();
        await using PostgresStore one = await OpenAsync(shared, "one");
        await using PostgresStore two = await OpenAsync(shared, "two");
        IClusterStore here = one;
        IClusterStore there = two;
        Assert.Null(await here.ReadDocumentAsync("tokens", CancellationToken.None));
        Assert.Null(await there.ReadDocumentAsync("tokens", CancellationToken.None));

        await here.WriteDocumentAsync("tokens", [1], CancellationToken.None);
        await Assert.ThrowsAsync<StaleRecordsException>(
            () => there.WriteDocumentAsync("tokens", [2], CancellationToken.None));

        Assert.Equal([1], await there.ReadDocumentAsync("tokens", CancellationToken.None));
        await there.WriteDocumentAsync("tokens", [2], CancellationToken.None);
        Assert.Equal([2], await here.ReadDocumentAsync("tokens", CancellationToken.None));
    }

    private static Task<PostgresStore> OpenAsync(string address, string server) => PostgresStore.OpenAsync(
        PostgresCluster.Parse(address), server, TimeProvider.System, NullLogger<PostgresStore>.Instance,
        CancellationToken.None);
}
