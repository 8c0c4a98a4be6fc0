using Microsoft.Extensions.Logging;

namespace Berth.Server.Store.Sqlite;

internal static partial class Log
{
    [LoggerMessage(EventId = 300, Level = LogLevel.Error,
        Message =
            "The disk of {Path} is full: new runs are refused until there is space again. What was accepted is "
            + "finished.")]
    public static partial void DiskFull(ILogger logger, string path);

    [LoggerMessage(EventId = 301, Level = LogLevel.Error,
        Message = "{Path} can't be written. Nothing is accepted until it could be reopened.")]
    public static partial void StoreFailing(ILogger logger, Exception error, string path);

    [LoggerMessage(EventId = 302, Level = LogLevel.Information, Message = "{Path} accepts new runs again.")]
    public static partial void StoreAccepting(ILogger logger, string path);

    [LoggerMessage(EventId = 303, Level = LogLevel.Critical,
        Message =
            "{What}: the store is damaged and takes nothing new. Look at the disk, stop the server and restore a "
            + "backup.")]
    public static partial void StoreDamaged(ILogger logger, string what);

    [LoggerMessage(EventId = 304, Level = LogLevel.Information,
        Message = "{Path}: {Pages} pages looked at in {Took}, all: {IsWhole}. Nothing is damaged.")]
    public static partial void StoreInspected(ILogger logger, string path, long pages, TimeSpan took, bool isWhole);

    [LoggerMessage(EventId = 305, Level = LogLevel.Information,
        Message = "{Path} was written without checksums and is being copied, once.")]
    public static partial void StoreCopied(ILogger logger, string path);
}
