using Microsoft.Extensions.Logging;

namespace Berth.Server.Logs;

internal static partial class Log
{
    [LoggerMessage(EventId = 240, Level = LogLevel.Warning,
        Message = "The log in {Folder} can't be written; what comes is lost until it can. Free some space, or look at "
            + "the disk.")]
    public static partial void LogWriteFailed(ILogger logger, Exception error, string folder);

    [LoggerMessage(EventId = 241, Level = LogLevel.Information,
        Message = "The log in {Folder} can be written again; {Lines} lines are missing in it.")]
    public static partial void LogWritableAgain(ILogger logger, string folder, long lines);
}
