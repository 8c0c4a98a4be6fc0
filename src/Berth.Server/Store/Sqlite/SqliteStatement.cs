using SQLitePCL;

namespace Berth.Server.Store.Sqlite;

/// <summary>A prepared statement: bind in order, step, read columns by position.</summary>
internal sealed class SqliteStatement(SqliteDatabase database, sqlite3_stmt handle)
    : IStoreRow, IStoreParameters<SqliteStatement>, IDisposable
{
    private int next = 1;

    public SqliteStatement Bind(long value)
    {
        database.Check(raw.sqlite3_bind_int64(handle, next++, value));
        return this;
    }

    public SqliteStatement Bind(long? value) => value is { } number ? Bind(number) : BindNull();

    public SqliteStatement Bind(double? value)
    {
        if (value is not { } number)
        {
            return BindNull();
        }

        database.Check(raw.sqlite3_bind_double(handle, next++, number));
        return this;
    }

    public SqliteStatement Bind(string? value)
    {
        if (value is null)
        {
            return BindNull();
        }

        database.Check(raw.sqlite3_bind_text(handle, next++, value));
        return this;
    }

    public SqliteStatement Bind(ReadOnlySpan<byte> value)
    {
        // A null pointer would bind NULL, so that an empty blob needs a call of its own.
        database.Check(value.IsEmpty
            ? raw.sqlite3_bind_zeroblob(handle, next++, 0)
            : raw.sqlite3_bind_blob(handle, next++, value));
        return this;
    }

    public SqliteStatement BindNull()
    {
        database.Check(raw.sqlite3_bind_null(handle, next++));
        return this;
    }

    /// <summary>True when there is a row to read; false at the end, with the statement reset.</summary>
    public bool Step()
    {
        int result = raw.sqlite3_step(handle);
        if (result == raw.SQLITE_ROW)
        {
            return true;
        }

        try
        {
            database.Check(result);
            return false;
        }
        finally
        {
            _ = raw.sqlite3_reset(handle);
        }
    }

    /// <summary>Runs a statement to its end.</summary>
    public void Run()
    {
        while (Step())
        {
        }
    }

    public bool IsNull(int column) => raw.sqlite3_column_type(handle, column) == raw.SQLITE_NULL;

    public long Int64(int column) => raw.sqlite3_column_int64(handle, column);

    public double Double(int column) => raw.sqlite3_column_double(handle, column);

    public string Text(int column) => raw.sqlite3_column_text(handle, column).utf8_to_string();

    /// <summary>Valid until the next step.</summary>
    public ReadOnlySpan<byte> Blob(int column) => raw.sqlite3_column_blob(handle, column);

    public SqliteStatement Reset()
    {
        // The result repeats the failure of the last step, which was reported then.
        _ = raw.sqlite3_reset(handle);
        next = 1;
        return this;
    }

    public void Dispose() => handle.Dispose();
}
