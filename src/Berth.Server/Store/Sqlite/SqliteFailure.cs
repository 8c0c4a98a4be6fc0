using SQLitePCL;

namespace Berth.Server.Store.Sqlite;

/// <summary>What SQLite answered instead of doing it. Stays inside this room.</summary>
internal sealed class SqliteFailure(int code, string message) : Exception(message)
{
    /// <summary>Extended result code (sqlite.org/rescode.html).</summary>
    public int Code { get; } = code;

    public int PrimaryCode => Code & 0xFF;

    public bool IsDiskFull => PrimaryCode == raw.SQLITE_FULL;

    /// <summary>What is on the disk is not what was written there.</summary>
    public bool IsDamage => Code == ChecksumVfs.DataError || PrimaryCode is raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB;

    /// <summary>A fault of one statement that says nothing about the file: a constraint, a wrong type.</summary>
    public bool IsStatementFault => PrimaryCode is raw.SQLITE_CONSTRAINT or raw.SQLITE_MISMATCH or raw.SQLITE_RANGE
        or raw.SQLITE_TOOBIG or raw.SQLITE_ERROR or raw.SQLITE_MISUSE;
}
