using Microsoft.Extensions.Logging;

namespace Berth.Server.Rollouts;

internal static partial class Log
{
    [LoggerMessage(EventId = 520, Level = LogLevel.Information,
        Message = "Rollout of revision {Revision} of function {Function}: {Detail}")]
    public static partial void Advanced(ILogger logger, string function, int revision, string detail);

    [LoggerMessage(EventId = 521, Level = LogLevel.Warning,
        Message = "Revision {Revision} of function {Function} is rolled back: {Detail}")]
    public static partial void RolledBack(ILogger logger, string function, int revision, string detail);

    [LoggerMessage(EventId = 522, Level = LogLevel.Error,
        Message = "A rollout of function {Function} could not go on; the next look tries again.")]
    public static partial void StepFailed(ILogger logger, string function, Exception error);
}
