using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Runs;

internal static partial class Log
{
    [LoggerMessage(EventId = 200, Level = LogLevel.Warning,
        Message = "A step of run {Run} can't be stored yet and is tried again.")]
    public static partial void StepNotStored(ILogger logger, RunId run, Exception error);

    [LoggerMessage(EventId = 201, Level = LogLevel.Information,
        Message = "The report of generation {Generation} of run {Run} came too late and was refused.")]
    public static partial void ReportRefused(ILogger logger, RunId run, int generation);

    [LoggerMessage(EventId = 202, Level = LogLevel.Error,
        Message =
            "An attempt of run {Run} was given up without a stored end; the next start of the server sees to it.")]
    public static partial void ExecutionFailed(ILogger logger, RunId run, Exception error);

    [LoggerMessage(EventId = 203, Level = LogLevel.Error,
        Message = "An attempt of run {Run} failed in an unexpected way; it counts as a fault of the platform.")]
    public static partial void AttemptFailed(ILogger logger, RunId run, Exception error);

    [LoggerMessage(EventId = 204, Level = LogLevel.Error,
        Message = "The dispatcher failed and goes on.")]
    public static partial void DispatchFailed(ILogger logger, Exception error);

    [LoggerMessage(EventId = 205, Level = LogLevel.Error,
        Message = "The pass {Pass} failed; the next one tries again.")]
    public static partial void PassFailed(ILogger logger, string pass, Exception error);

    [LoggerMessage(EventId = 206, Level = LogLevel.Information,
        Message = "Recovered {Count} runs that were under way when the last server ended.")]
    public static partial void Recovered(ILogger logger, int count);

    [LoggerMessage(EventId = 207, Level = LogLevel.Information,
        Message = "Deleted {Count} leftovers from the spool.")]
    public static partial void SpoolSwept(ILogger logger, int count);

    [LoggerMessage(EventId = 208, Level = LogLevel.Warning,
        Message = "{Count} records of calls were lost because the store could not be written.")]
    public static partial void RecordsLost(ILogger logger, int count, Exception? error);

    [LoggerMessage(EventId = 209, Level = LogLevel.Information,
        Message = "Stopping: waiting for {Tasks} tasks and {Calls} calls.")]
    public static partial void Draining(ILogger logger, int tasks, int calls);

    [LoggerMessage(EventId = 210, Level = LogLevel.Information,
        Message = "Handing {Tasks} tasks back to the queue and ending {Calls} calls.")]
    public static partial void HandingBack(ILogger logger, int tasks, int calls);

    [LoggerMessage(EventId = 1320, Level = LogLevel.Warning,
        Message = "Run {Run} could go to a node now and could not be woken: it is looked at again later.")]
    public static partial void NotWoken(ILogger logger, RunId run, Exception cause);
}
