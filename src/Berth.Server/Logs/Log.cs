using Microsoft.Extensions.Logging;

namespace Berth.Server.Logs;

internal static partial class Log
{
    [LoggerMessage(EventId = 240, Level = LogLevel.Warning,
        Message = "The log in {Folder} can't be written; the rest of this attempt's lines are lost.")]
    public static partial void LogWriteFailed(ILogger logger, Exception error, string folder);
}
