using Microsoft.Extensions.Logging;

namespace Berth.Server.Networks;

internal static partial class Log
{
    [LoggerMessage(1421, LogLevel.Error,
        "The node {Node} could not be told of its networks: there is more than a link takes. Remove networks, or run "
        + "fewer programs in them.")]
    public static partial void TooManyNames(ILogger logger, string node);

    [LoggerMessage(1451, LogLevel.Error,
        "The other servers could not be told what is in networks on this machine: there is more than a link takes. Run "
        + "fewer programs in them.")]
    public static partial void TooManyNamesHere(ILogger logger);

    [LoggerMessage(1452, LogLevel.Error,
        "Of the machines {Nodes} several say that they are reached under the same address, or have the same key: none "
        + "of them gets anything of encrypted networks. Give each its own address with --advertise.")]
    public static partial void Doubtful(ILogger logger, string nodes);
}
