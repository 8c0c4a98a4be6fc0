using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Instances;

internal static partial class Log
{
    [LoggerMessage(EventId = 950, Level = LogLevel.Information,
        Message = "Instance {Run} of {Name} takes calls, {Milliseconds} ms after it was ordered.")]
    public static partial void InstanceReady(ILogger logger, RunId run, string name, double milliseconds);

    [LoggerMessage(EventId = 951, Level = LogLevel.Warning, Message = "No instance of {Name} could be started: {Why}")]
    public static partial void InstanceFailed(ILogger logger, string name, string why);

    [LoggerMessage(EventId = 952, Level = LogLevel.Warning,
        Message = "Instance {Run} of {Name} ended by itself: {Reason}. {Detail}")]
    public static partial void InstanceEnded(ILogger logger, RunId run, string name, string reason, string detail);

    [LoggerMessage(EventId = 954, Level = LogLevel.Information,
        Message = "The trial of function '{Name}' as revision {Revision} was not needed: something else was deployed.")]
    public static partial void TrialDropped(ILogger logger, string name, int revision);

    [LoggerMessage(EventId = 980, Level = LogLevel.Information,
        Message = "Instance {Run} of {Name} ends: its memory is needed for an instance of another function.")]
    public static partial void InstanceGivenUp(ILogger logger, RunId run, string name);

    [LoggerMessage(EventId = 953, Level = LogLevel.Error,
        Message = "The pass over the instances of functions failed; the next one tries again.")]
    public static partial void PassFailed(ILogger logger, Exception error);
}
