using System.Globalization;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Content;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Store;

public sealed class StoreMigrationTests(SharedPostgres postgres) : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task All_records_are_moved_once_and_are_as_they_were()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        Run full = Accepted(spec: FullSpec(), input: new StoredBody(BodyPlace.Inline, 3));
        Run ended;
        Trigger trigger = new(RunId.New(Noon), "nightly", "resize", false, Noon, "admin", Upload: new("files", ""));
        await using (SqliteRunStore old = await OpenOldAsync())
        {
            await old.AcceptAsync(new NewRun(full, "in!"u8.ToArray(), "key", "request"u8.ToArray()), None);
            await old.AcceptAsync(new NewRun(Accepted(Noon.AddDays(-1)), default, null, default), None);
            Run claimed = Assert.Single(await old.ClaimAsync(new ClaimOrder(1, Noon.AddHours(-1)), None)).Run;
            await old.SaveAsync(Running(claimed, Noon), None);
            RunChange end = Ending(claimed, EndReason.Completed, Noon);
            ended = (await old.SaveAsync(
                end with
                {
                    Next = end.Next with { Result = new StoredBody(BodyPlace.Inline, 4) },
                    InlineResult = "out!"u8.ToArray(),
                    Callback = new CallbackDraft(new Uri("https://example.org/x"), "body"u8.ToArray(), Noon),
                    Forward = "next",
                },
                None)).Current!;
            await old.PutAsync(
                FunctionSteps.Create("resize", new FunctionSpec(Spec(), false, 0, 9), "admin", Noon), None);
            await ((ITriggerStore)old).PutAsync(trigger, Noon, None);
            await ((ITriggerStore)old).RecordAsync(
                new Firing(trigger.Id, "k", Noon, FiringOutcome.Fired, full.Id, null), null, ("/a", "1"), None);
        }

        IReadOnlyList<MovedTable> moved = await MoveAsync(address);

        Assert.All(moved, table => Assert.Equal(table.Found, table.Moved));
        Assert.Equal(2, moved.Single(table => table.Name == "runs").Moved);
        string server = (await File.ReadAllTextAsync(folder["server.id"])).Trim();
        await using PostgresStore store = await PostgresStore.OpenAsync(
            PostgresCluster.Parse(address), server, TimeProvider.System, NullLogger<PostgresStore>.Instance, None);
        Assert.Equivalent(full, await store.FindAsync(full.Id, None), strict: true);
        Assert.Equivalent(ended, await store.FindAsync(ended.Id, None), strict: true);
        Assert.Equal("in!"u8.ToArray(), await store.ReadInputAsync(full.Id, None));
        Assert.Equal("out!"u8.ToArray(), await store.ReadResultAsync(ended.Id, None));
        Assert.Equal([2, 3], (await store.EventsAsync(ended.Id, 0, 9, None)).Select(entry => entry.Sequence));
        Assert.Equal(ended.Id, Assert.Single(await store.DueCallbacksAsync(Noon, [], 9, None)).Run);
        Assert.Equal(new PendingForward(ended.Id, "next"), Assert.Single(await store.PendingForwardsAsync(9, None)));
        Assert.False((await store.AcceptAsync(
            new NewRun(Accepted(), default, "key", "request"u8.ToArray()), None)).IsNew);
        Assert.Equal("resize", Assert.Single(await store.AllFunctionsAsync(None)).Name);
        Assert.Equal(full.Id, Assert.Single(await ((ITriggerStore)store).FiringsAsync(trigger.Id, 9, None)).Run);
        Assert.Equal(full.Id, Assert.Single(await store.ListAsync(
            new RunQuery(null, null, null, FullSpec().Labels, 9, null), None)).Id);
        Assert.Equal(full.Id, Assert.Single(await store.ClaimAsync(new ClaimOrder(9, Noon), None)).Run.Id);
    }

    [Fact]
    public async Task A_second_time_moves_nothing()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await using (SqliteRunStore old = await OpenOldAsync())
        {
            for (int i = 0; i < 450; i++)
            {
                await old.AcceptAsync(new NewRun(Accepted(), default, null, default), None);
            }
        }

        Assert.Equal(450, (await MoveAsync(address)).Sum(table => table.Moved));
        BerthException again = await Assert.ThrowsAsync<BerthException>(() => MoveAsync(address));
        File.Move(folder["berth.db.migrated"], folder["berth.db"]);
        IReadOnlyList<MovedTable> repeated = await MoveAsync(address);

        Assert.Contains("moved before", again.Message, StringComparison.Ordinal);
        Assert.Equal((450, 0), (repeated.Sum(table => table.Found), repeated.Sum(table => table.Moved)));
    }

    [Fact]
    public async Task A_folder_in_use_and_one_without_records_are_refused()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();

        Assert.Contains(
            "no berth.db", (await Assert.ThrowsAsync<BerthException>(() => MoveAsync(address))).Message,
            StringComparison.Ordinal);
        await (await OpenOldAsync()).DisposeAsync();
        using (Berth.Server.Hosting.DataFolder.Open(folder.Path))
        {
            BerthException error = await Assert.ThrowsAsync<BerthException>(() => MoveAsync(address));
            Assert.Contains("Another Berth server uses", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Every_column_of_the_old_store_is_moved()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        await (await OpenOldAsync()).DisposeAsync();

        IReadOnlyList<MovedTable> tables = await MoveAsync(address);

        using SqliteDatabase old = SqliteDatabase.OpenReader(folder["berth.db.migrated"]);
        using SqliteStatement names = old.PrepareOnce(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name");
        List<string> found = [];
        while (names.Step())
        {
            found.Add(names.Text(0));
        }

        Assert.Equal(found, tables.Select(table => table.Name).Order(StringComparer.Ordinal));
        foreach (string table in found)
        {
            using SqliteStatement columns = old.PrepareOnce(string.Create(
                CultureInfo.InvariantCulture,
                $"SELECT count(*) FROM pragma_table_info('{table}') WHERE name <> 'seq'"));
            Assert.True(columns.Step());
            Assert.Equal(columns.Int64(0), StoreMigration.OldColumns(table));
        }
    }

    private Task<SqliteRunStore> OpenOldAsync() => SqliteRunStore.OpenAsync(
        folder["berth.db"], SqliteRunStore.DefaultBallast, NullLogger<SqliteRunStore>.Instance, None);

    private Task<IReadOnlyList<MovedTable>> MoveAsync(string address) => StoreMigration.MoveAsync(
        folder.Path, PostgresCluster.Parse(address), TimeProvider.System, NullLoggerFactory.Instance, None);
}
