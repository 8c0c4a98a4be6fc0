using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>What the server says of its own life.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 1, Level = LogLevel.Information,
        Message = "Berth {Version} listens on {Addresses}; data in {DataFolder}")]
    public static partial void Ready(ILogger logger, string version, string addresses, string dataFolder);

    [LoggerMessage(EventId = 2, Level = LogLevel.Warning,
        Message = "{Address} is not loopback and has no TLS: tokens and data cross the network in the clear. "
            + "Set tls-certificate and tls-key, or put a proxy with TLS in front")]
    public static partial void InTheClear(ILogger logger, Uri address);

    [LoggerMessage(EventId = 3, Level = LogLevel.Information,
        Message = "Stopping: new work is refused, what runs may finish within {Grace}")]
    public static partial void Stopping(ILogger logger, TimeSpan grace);

    [LoggerMessage(EventId = 4, Level = LogLevel.Information, Message = "Stopped")]
    public static partial void Stopped(ILogger logger);

    [LoggerMessage(EventId = 5, Level = LogLevel.Error, Message = "A pass failed; the next one tries again")]
    public static partial void PassFailed(ILogger logger, Exception exception);

    [LoggerMessage(EventId = 6, Level = LogLevel.Information, Message = "The administrator's token is in {Path}")]
    public static partial void AdministratorToken(ILogger logger, string path);
}
