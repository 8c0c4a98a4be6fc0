using Berth.Core.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Neighbours;

internal static partial class NeighbourLog
{
    [LoggerMessage(EventId = 1810, Level = LogLevel.Information,
        Message = "Layers are offered to other nodes at {Address}.")]
    public static partial void Offered(ILogger logger, string address);

    [LoggerMessage(EventId = 1811, Level = LogLevel.Warning,
        Message = "The layer {Layer} does not come from the node at {Address}, which is not asked for some minutes. "
            + "{Reason}")]
    public static partial void NotFromNeighbour(ILogger logger, Digest layer, string address, string reason);
}
