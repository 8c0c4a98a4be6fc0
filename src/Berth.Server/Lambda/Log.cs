using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Lambda;

internal static partial class Log
{
    [LoggerMessage(EventId = 970, Level = LogLevel.Error,
        Message = "Instance {Run} is ended: its connections to the Runtime API could not be taken.")]
    public static partial void AcceptFailed(ILogger logger, RunId run, Exception error);
}
