using Berth.Core.Errors;

namespace Berth.Server.Store.Sqlite;

/// <summary>What callers are told when SQLite could not do it.</summary>
internal static class StoreFaults
{
    public static BerthException Damaged(string what, Exception? cause) => new(
        ErrorCode.StorageDamaged,
        $"{what}: the disk gave back something else than was written. Nothing of it is taken for true. Look at the "
        + "disk, then restore a backup ('berth restore'); docs/guide/troubleshooting.md says what else can be done.",
        cause);

    public static BerthException DiskFull(string path, Exception? cause) => new(
        ErrorCode.StorageFull,
        $"The disk of {Path.GetDirectoryName(path)} is full: free space there, then send it again.", cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    public static BerthException NotWritten(string path, Exception? cause) => new(
        ErrorCode.StorageFault,
        $"The store {path} can't be written: look at the server's log and the disk, then send it again.", cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    public static BerthException NotRead(SqliteFailure failure) => failure.IsDamage
        ? Damaged(failure.Message, failure)
        : new(
            ErrorCode.StorageFault,
            $"The store can't be read ({failure.Message}): look at the server's log and the disk, then try again.",
            failure)
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        };
}
