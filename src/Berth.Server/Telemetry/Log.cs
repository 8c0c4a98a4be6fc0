using Microsoft.Extensions.Logging;

namespace Berth.Server.Telemetry;

/// <summary>Log messages of the export.</summary>
internal static partial class Log
{
    [LoggerMessage(1601, LogLevel.Warning, "The collector {Endpoint} did not take what was sent: {Failure}.")]
    public static partial void ExportFailed(ILogger logger, Uri endpoint, string failure);
}
