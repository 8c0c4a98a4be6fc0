using Microsoft.Extensions.Logging;

namespace Berth.Server.Webhooks;

/// <summary>What is said of webhooks.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 140, Level = LogLevel.Warning,
        Message = "{Url} is not told of {Repository}:{Tag}: {Count} events wait already")]
    public static partial void OutboxFull(ILogger logger, string url, string repository, string tag, int count);

    [LoggerMessage(EventId = 141, Level = LogLevel.Error, Message = "The event {File} can't be read: {Reason}")]
    public static partial void OutboxUnreadable(ILogger logger, string file, string reason);

    [LoggerMessage(EventId = 142, Level = LogLevel.Warning,
        Message = "{Url} did not take the event {Id} in {Attempts} tries and is not told any more: {Reason}")]
    public static partial void GivenUp(ILogger logger, string url, string id, int attempts, string reason);

    [LoggerMessage(EventId = 143, Level = LogLevel.Error, Message = "Delivering webhooks failed; the next try is soon")]
    public static partial void DeliveryFailed(ILogger logger, Exception exception);
}
