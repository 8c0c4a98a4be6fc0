using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

internal static partial class Log
{
    [LoggerMessage(EventId = 1300, Level = LogLevel.Information,
        Message = "Node {Node} has joined with a token of {Caller}.")]
    public static partial void Joined(ILogger logger, string node, string caller);

    [LoggerMessage(EventId = 1301, Level = LogLevel.Warning, Message = "Node {Node} may not join. {Reason}")]
    public static partial void JoinRefused(ILogger logger, string node, string reason);

    [LoggerMessage(EventId = 1302, Level = LogLevel.Warning,
        Message = "Somebody tried to join with the token {Token}, which is wrong, spent, expired or taken back.")]
    public static partial void TokenRefused(ILogger logger, string token);

    [LoggerMessage(EventId = 1303, Level = LogLevel.Information,
        Message = "Node {Node} has a new certificate, until {End:O}.")]
    public static partial void Renewed(ILogger logger, string node, DateTimeOffset end);

    [LoggerMessage(EventId = 1304, Level = LogLevel.Information, Message = "Node {Node} was removed.")]
    public static partial void Removed(ILogger logger, string node);

    [LoggerMessage(EventId = 1305, Level = LogLevel.Information,
        Message = "Node {Node} is ready: {Places} places, {Cores} cores, Berth {Program}.")]
    public static partial void Ready(ILogger logger, string node, int places, int cores, string program);

    [LoggerMessage(EventId = 1306, Level = LogLevel.Warning,
        Message = "Node {Node} is suspect: nothing was heard of it for {Silence}. It gets nothing new.")]
    public static partial void Suspect(ILogger logger, string node, TimeSpan silence);

    [LoggerMessage(EventId = 1307, Level = LogLevel.Warning,
        Message = "Node {Node} is lost, with {Running} attempts under way: they end here as faults of the platform.")]
    public static partial void Lost(ILogger logger, string node, int running);

    [LoggerMessage(EventId = 1308, Level = LogLevel.Warning, Message = "Node {Node} is refused. {Reason}")]
    public static partial void Refused(ILogger logger, string node, string reason);

    [LoggerMessage(EventId = 1309, Level = LogLevel.Warning,
        Message = "A link from {Address} is refused: its certificate is of no node there is.")]
    public static partial void Unknown(ILogger logger, string address);

    [LoggerMessage(EventId = 1310, Level = LogLevel.Information, Message = "Nodes may join at {Addresses}.")]
    public static partial void Listening(ILogger logger, string addresses);

    [LoggerMessage(EventId = 1801, Level = LogLevel.Information,
        Message = "{Caller} took back the token for joining {Token}.")]
    public static partial void TokenRemoved(ILogger logger, string caller, string token);

    [LoggerMessage(EventId = 1802, Level = LogLevel.Information,
        Message = "{Caller} made the token for joining {Token}, until {End:O}.")]
    public static partial void TokenMade(ILogger logger, string caller, string token, DateTimeOffset end);

    [LoggerMessage(EventId = 1311, Level = LogLevel.Warning, Message = "A link of node {Node} broke. {Reason}")]
    public static partial void LinkBroke(ILogger logger, string node, string reason);

    [LoggerMessage(EventId = 1720, Level = LogLevel.Information,
        Message = "Node {Node} has left: it was stopped in good order.")]
    public static partial void Left(ILogger logger, string node);
}
