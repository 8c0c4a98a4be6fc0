using Berth.Oci.Content;
using SQLitePCL;

namespace Berth.Server.Store.Sqlite;

/// <summary>One connection with its prepared statements. Used by one thread at a time.</summary>
internal sealed class SqliteDatabase : IDisposable
{
    // Keyed by reference: every statement's text is a constant.
    private readonly Dictionary<string, SqliteStatement> statements = new(ReferenceEqualityComparer.Instance);
    private readonly sqlite3 handle;
    private readonly string path;

    private SqliteDatabase(sqlite3 handle, string path)
    {
        this.handle = handle;
        this.path = path;
    }

    public static SqliteDatabase OpenWriter(string path)
    {
        SqliteDatabase database = Open(path);
        ChecksumVfs.ReserveRoom(SqliteLibrary.Handle, database.handle);
        database.Execute("PRAGMA journal_mode = WAL");
        // FULL syncs the log at every commit; NORMAL would lose acknowledged runs in a power cut.
        database.Execute("PRAGMA synchronous = FULL");
        database.Execute("PRAGMA wal_autocheckpoint = 4000");
        database.Execute("PRAGMA journal_size_limit = 67108864");
        database.Execute("PRAGMA cache_size = -16384");
        database.Execute("PRAGMA temp_store = MEMORY");
        return database;
    }

    /// <summary>A connection that may write another file and changes nothing in this one.</summary>
    public static SqliteDatabase OpenForCopying(string path)
    {
        SqliteDatabase database = Open(path);
        database.Execute("PRAGMA cache_size = -4096");
        return database;
    }

    public static SqliteDatabase OpenReader(string path)
    {
        SqliteDatabase database = Open(path);
        database.Execute("PRAGMA query_only = 1");
        database.Execute("PRAGMA cache_size = -4096");
        database.Execute("PRAGMA temp_store = MEMORY");
        return database;
    }

    /// <summary>Copies a database that was written without checksums and puts the copy in its place.</summary>
    public static void AddChecksums(string path)
    {
        string copy = path + ".tmp";
        File.Delete(copy);
        using (SqliteDatabase old = Open(path, raw.SQLITE_OPEN_URI, null))
        {
            ChecksumVfs.ReserveRoom(SqliteLibrary.Handle, old.handle);
            old.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
            using SqliteStatement vacuum = old.PrepareOnce("VACUUM INTO ?");
            vacuum.Bind($"file:{Uri.EscapeDataString(copy)}?vfs={ChecksumVfs.Name}").Run();
        }

        using (FileStream file = new(copy, FileMode.Open, FileAccess.Write))
        {
            DurableFile.SyncData(file.SafeFileHandle, copy);
        }

        File.Move(copy, path, overwrite: true);
        DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>The prepared statement of a constant text, reset and ready to be bound.</summary>
    public SqliteStatement Prepare(string constant)
    {
        if (!statements.TryGetValue(constant, out SqliteStatement? statement))
        {
            statements[constant] = statement = PrepareOnce(constant);
        }

        return statement.Reset();
    }

    /// <summary>A statement whose text is made for the occasion. The caller disposes it.</summary>
    public SqliteStatement PrepareOnce(string sql)
    {
        Check(raw.sqlite3_prepare_v2(handle, sql, out sqlite3_stmt statement));
        return new SqliteStatement(this, statement);
    }

    /// <summary>Runs statements without parameters, results ignored.</summary>
    public void Execute(string sql) => Check(raw.sqlite3_exec(handle, sql));

    public void Check(int result)
    {
        if (result is raw.SQLITE_OK or raw.SQLITE_ROW or raw.SQLITE_DONE)
        {
            return;
        }

        int code = raw.sqlite3_extended_errcode(handle);
        long page = ChecksumVfs.TakeDamagedPage();
        throw (code & 0xFF) == raw.SQLITE_IOERR && page > 0
            ? new SqliteFailure(ChecksumVfs.DataError, $"{path}: page {page} is not as it was written")
            : new SqliteFailure(code, $"{path}: {raw.sqlite3_errmsg(handle).utf8_to_string()}");
    }

    /// <summary>Whether a transaction is open: some failures end it by themselves.</summary>
    public bool InTransaction => raw.sqlite3_get_autocommit(handle) == 0;

    public void Dispose()
    {
        foreach (SqliteStatement statement in statements.Values)
        {
            statement.Dispose();
        }

        statements.Clear();
        handle.Dispose();
    }

    private static SqliteDatabase Open(string path) => Open(path, 0, ChecksumVfs.Name);

    private static SqliteDatabase Open(string path, int flags, string? vfs)
    {
        SqliteLibrary.Use();
        int result = raw.sqlite3_open_v2(
            path, out sqlite3 handle,
            flags | raw.SQLITE_OPEN_READWRITE | raw.SQLITE_OPEN_CREATE | raw.SQLITE_OPEN_NOMUTEX, vfs);
        SqliteDatabase database = new(handle, path);
        if (result != raw.SQLITE_OK)
        {
            handle.Dispose();
            throw new SqliteFailure(result, $"{path} can't be opened: {raw.sqlite3_errstr(result).utf8_to_string()}");
        }

        // Nobody else writes; this is for a person looking in with sqlite3.
        database.Check(raw.sqlite3_busy_timeout(handle, 5000));
        return database;
    }
}
