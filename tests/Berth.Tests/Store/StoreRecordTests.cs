using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Content;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;

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
}
