using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Berth.Testing;
using Berth.Testing.Content;
using Microsoft.Extensions.Logging.Abstractions;
using Berth.Tests.Gates;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Store;

/// <summary>A store whose bytes change on the disk: it says so, and tells nothing but what was written.</summary>
public sealed class DamagedStoreTests : IDisposable
{
    private const int PageBytes = 4096;

    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TemporaryFolder folder = new();

    private string Database => folder["berth.db"];

    private string Log => Database + "-wal";

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Every_flipped_bit_of_a_closed_store_is_found_and_its_page_named()
    {
        await FillAsync(200);
        byte[] whole = await File.ReadAllBytesAsync(Database, None);
        Random random = new(4);
        int[] places = [.. Enumerable.Range(0, whole.Length / PageBytes)
            .Select(page => (page * PageBytes) + random.Next(PageBytes)), 16, 18, 20, 24, 60, PageBytes - 1];
        foreach (int place in places)
        {
            byte[] changed = [.. whole];
            changed[place] ^= (byte)(1 << random.Next(8));
            await File.WriteAllBytesAsync(Database, changed, None);

            BerthException refused = await Assert.ThrowsAsync<BerthException>(OpenAsync);

            Assert.True(refused.Code == ErrorCode.StorageDamaged, $"at {place}: {refused}");
            Assert.Contains("berth.db", refused.Message, StringComparison.Ordinal);
        }

        await File.WriteAllBytesAsync(Database, whole, None);
        await using SqliteRunStore store = await OpenAsync();
        Assert.Equal(200, (await store.CountAsync(None)).Queued);
    }

    [Fact]
    public async Task Pages_of_zeros_that_SQLite_wrote_are_no_damage()
    {
        await FillAsync(10);
        using (SqliteDatabase writer = SqliteDatabase.OpenWriter(Database))
        {
            writer.Execute("CREATE TABLE silence (content BLOB NOT NULL) STRICT");
            writer.Execute("INSERT INTO silence VALUES (zeroblob(40000))");
        }

        byte[] file = await File.ReadAllBytesAsync(Database, None);
        StoreInspection inspection = StoreInspection.Of(Database, TimeSpan.MaxValue, None);
        using SqliteDatabase reader = SqliteDatabase.OpenReader(Database);
        using SqliteStatement read = reader.PrepareOnce("SELECT content FROM silence");

        Assert.Contains(file.Chunk(PageBytes), page => page.All(b => b == 0));
        Assert.Null(inspection.Damage);
        Assert.True(read.Step());
        Assert.Equal(new byte[40000], read.Blob(0).ToArray());
    }

    [Fact]
    public async Task A_page_that_changes_while_the_store_is_open_is_an_error_and_nothing_new_is_taken()
    {
        IReadOnlyList<RunId> ids = await FillAsync(2000);
        await using SqliteRunStore store = await OpenAsync();
        // All but the first, so that the store finds its tables.
        for (int page = 1; page < new FileInfo(Database).Length / PageBytes; page++)
        {
            await FlipAsync(Database, (page * PageBytes) + 100);
        }

        BerthException read = await Assert.ThrowsAsync<BerthException>(() => store.FindAsync(ids[1000], None));
        BerthException claimed = await Assert.ThrowsAsync<BerthException>(
            () => store.ClaimAsync(new ClaimOrder(10, Noon), None));
        BerthException accepted = await Assert.ThrowsAsync<BerthException>(() => AcceptAsync(store));
        BerthException copied = await Assert.ThrowsAsync<BerthException>(() => store.CopyAsync(folder["copy"], None));

        Assert.All(
            [read, claimed, accepted, copied], error => Assert.Equal(ErrorCode.StorageDamaged, error.Code));
        Assert.Equal(StoreCondition.Damaged, store.Condition);
    }

    [Fact]
    public async Task A_flipped_bit_in_the_log_of_a_killed_store_loses_nothing_unnoticed()
    {
        await using SqliteRunStore store = await OpenAsync();
        for (int i = 0; i < 40; i++)
        {
            await AcceptAsync(store);
        }

        byte[] database = await File.ReadAllBytesAsync(Database, None);
        byte[] log = await File.ReadAllBytesAsync(Log, None);
        Random random = new(5);
        foreach (int place in Enumerable.Range(0, 40).Select(_ => random.Next(log.Length)).Concat([1, 9, 17, 25]))
        {
            using TemporaryFolder copy = new();
            byte[] changed = [.. log];
            changed[place] ^= (byte)(1 << random.Next(8));
            await File.WriteAllBytesAsync(copy["berth.db"], database, None);
            await File.WriteAllBytesAsync(copy["berth.db-wal"], changed, None);

            StoreInspection found = StoreInspection.Of(copy["berth.db"], TimeSpan.MaxValue, None);

            // What is wrong in the last commit can't be told from what a power cut leaves of it.
            Assert.True(found.Damage is not null || place > log.Length - (12 * PageBytes), $"at {place}");
        }
    }

    [Fact]
    public async Task A_log_that_a_power_cut_ended_is_no_damage()
    {
        await using SqliteRunStore store = await OpenAsync();
        for (int i = 0; i < 10; i++)
        {
            await AcceptAsync(store);
        }

        byte[] log = await File.ReadAllBytesAsync(Log, None);
        await File.WriteAllBytesAsync(folder["copy"], await File.ReadAllBytesAsync(Database, None), None);
        foreach (int length in Enumerable.Range(0, 40).Select(i => log.Length * i / 40))
        {
            await File.WriteAllBytesAsync(folder["copy-wal"], log[..length], None);

            Assert.Null(StoreInspection.Of(folder["copy"], TimeSpan.MaxValue, None).Damage);
        }
    }

    [Fact]
    public async Task A_store_of_a_version_without_checksums_gets_them()
    {
        IReadOnlyList<RunId> ids = await FillAsync(300);
        await WithoutChecksumsAsync();
        Assert.False(StoreInspection.Of(Database, TimeSpan.MaxValue, None).HasChecksums);

        await using (SqliteRunStore store = await OpenAsync())
        {
            Assert.Equal(300, (await store.KnownAsync(ids, None)).Count);
        }

        StoreInspection after = StoreInspection.Of(Database, TimeSpan.MaxValue, None);
        Assert.Equal((true, true, null), (after.HasChecksums, after.IsWhole, after.Damage));
        Assert.Equal(new FileInfo(Database).Length / PageBytes, after.Pages);
        Assert.False(File.Exists(Database + ".tmp"));
    }

    private async Task<IReadOnlyList<RunId>> FillAsync(int runs)
    {
        await using SqliteRunStore store = await OpenAsync();
        return [.. await Task.WhenAll(Enumerable.Range(0, runs).Select(_ => AcceptAsync(store)))];
    }

    /// <summary>The same content as an older version would have written it.</summary>
    private async Task WithoutChecksumsAsync()
    {
        using System.Diagnostics.Process python = System.Diagnostics.Process.Start(
            "python3", ["-c", """
                import glob, sqlite3, sys
                db = sqlite3.connect(sys.argv[1])
                old = sqlite3.connect(sys.argv[2])
                for path in sorted(glob.glob(sys.argv[3] + "/000[1-4]_*.sql")):
                    old.executescript(open(path).read())
                for (table,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    names = ", ".join(column[1] for column in old.execute(f"PRAGMA table_info({table})"))
                    for row in db.execute(f"SELECT {names} FROM {table}"):
                        old.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", row)
                old.execute("PRAGMA user_version = 4")
                old.commit()
                """, Database, folder["plain"],
                Path.Combine(Repository.Root, "src/Berth.Server/Store/Sqlite/Migrations")]);
        await python.WaitForExitAsync(None);
        File.Move(folder["plain"], Database, overwrite: true);
    }

    private static async Task FlipAsync(string path, long place)
    {
        await using FileStream file = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        file.Position = place;
        int old = file.ReadByte();
        file.Position = place;
        file.WriteByte((byte)(old ^ 8));
    }

    private static async Task<RunId> AcceptAsync(SqliteRunStore store)
    {
        byte[] input = new byte[1000];
        Run run = Accepted(input: new StoredBody(BodyPlace.Inline, input.Length));
        return (await store.AcceptAsync(new NewRun(run, input, null, default), None)).Run.Id;
    }

    private Task<SqliteRunStore> OpenAsync() => SqliteRunStore.OpenAsync(
        Database, ByteSize.MiB(1), NullLogger<SqliteRunStore>.Instance, None);
}
