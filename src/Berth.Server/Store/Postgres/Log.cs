using Microsoft.Extensions.Logging;

namespace Berth.Server.Store.Postgres;

internal static partial class Log
{
    [LoggerMessage(EventId = 1100, Level = LogLevel.Error,
        Message = "The store {Address} can't be reached or written: nothing new is taken until it can.")]
    public static partial void Away(ILogger logger, Exception error, string address);

    [LoggerMessage(EventId = 1101, Level = LogLevel.Information, Message = "The store {Address} is there again.")]
    public static partial void Accepting(ILogger logger, string address);

    [LoggerMessage(EventId = 1102, Level = LogLevel.Warning,
        Message =
            "The store {Address} runs with {Setting} = off: what was accepted may be lost in a power cut. Switch it on "
            + "in postgresql.conf.")]
    public static partial void NotDurable(ILogger logger, string address, string setting);

    [LoggerMessage(EventId = 1103, Level = LogLevel.Error,
        Message =
            "The store {Address} refuses this server ({Reason}): nothing new is taken until the role's password is in "
            + "{Place}.")]
    public static partial void Refused(ILogger logger, string address, string reason, string place);
}
