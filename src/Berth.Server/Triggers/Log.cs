using Microsoft.Extensions.Logging;

namespace Berth.Server.Triggers;

internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Error, "Trigger {Trigger} could not be seen to; it is tried again.")]
    public static partial void PassFailed(ILogger logger, string trigger, Exception error);
}
