using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

[assembly: AssemblyFixture(typeof(SharedPostgres))]

namespace Berth.Tests.Store;

public sealed class PostgresStoreTests(SharedPostgres postgres) : RunStoreContract
{
    private string? address;

    [Fact]
    public async Task A_group_shares_one_commit()
    {
        long before = Store.Figures().Commits;

        await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => AcceptAsync()));

        long commits = Store.Figures().Commits - before;
        Assert.True(commits < 500, $"1,000 concurrent submissions took {commits} commits");
    }

    protected override async Task<IRunStore> OpenAsync()
    {
        address ??= await (await postgres.Cluster).NewDatabaseAsync();
        return await PostgresStore.OpenAsync(
            PostgresCluster.Parse(address), "one", TimeProvider.System, NullLogger<PostgresStore>.Instance,
            CancellationToken.None);
    }
}
