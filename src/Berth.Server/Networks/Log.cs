using Microsoft.Extensions.Logging;

namespace Berth.Server.Networks;

internal static partial class Log
{
    [LoggerMessage(1421, LogLevel.Error,
        "The node {Node} could not be told of its networks: there is more than a link takes. Remove networks, or run "
        + "fewer programs in them.")]
    public static partial void TooManyNames(ILogger logger, string node);
}
