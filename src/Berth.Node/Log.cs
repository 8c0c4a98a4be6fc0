using Microsoft.Extensions.Logging;

namespace Berth.Node;

/// <summary>Every message this project logs.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Warning, "Removed {Count} leftovers of sandboxes that nobody uses.")]
    public static partial void LeftoversRemoved(ILogger logger, int count);

    [LoggerMessage(2, LogLevel.Error,
        "The control group {Path} still has processes that don't end; the next pass tries again.")]
    public static partial void CgroupStuck(ILogger logger, string path);

    [LoggerMessage(3, LogLevel.Warning,
        "Sandbox {Sandbox} could not be removed completely; the next pass tries again.")]
    public static partial void RemovalIncomplete(ILogger logger, string sandbox);

    [LoggerMessage(4, LogLevel.Warning, "Removing sandbox {Sandbox} failed; the next pass tries again.")]
    public static partial void RemovalFailed(ILogger logger, string sandbox, Exception error);

    [LoggerMessage(5, LogLevel.Warning, "Preparing a sandbox of {Image} ahead failed; tried again after {Pause}.")]
    public static partial void RefillFailed(ILogger logger, string image, TimeSpan pause, Exception error);

    [LoggerMessage(6, LogLevel.Error, "The pass that looks for leftovers failed; the next one tries again.")]
    public static partial void SweepFailed(ILogger logger, Exception error);

    [LoggerMessage(7, LogLevel.Information,
        "Node {Node} runs sandboxes with {Engine}, control groups version {Cgroups}.")]
    public static partial void NodeStarted(ILogger logger, string node, string engine, int cgroups);

    [LoggerMessage(8, LogLevel.Error, "Process {Pid}, which a killed server left, does not end.")]
    public static partial void ProgramStuck(ILogger logger, int pid);

    [LoggerMessage(9, LogLevel.Error, "Preparing a sandbox of {Image} failed.")]
    public static partial void CreationFailed(ILogger logger, string image, Exception error);

    [LoggerMessage(10, LogLevel.Warning,
        "Removing what server {Instance} left: it was killed, and its data folder {Folder} is gone.")]
    public static partial void Abandoned(ILogger logger, string instance, string folder);

    [LoggerMessage(11, LogLevel.Information, "Runs may choose the runtime {Name}: {Path}, {Version}.")]
    public static partial void RuntimeFound(ILogger logger, string name, string path, string version);

    [LoggerMessage(1400, LogLevel.Information, "The network {Network} ({Subnet}) was made.")]
    public static partial void NetworkMade(ILogger logger, string network, string subnet);

    [LoggerMessage(1401, LogLevel.Warning, "Something of the network {Network} was missing and was made again.")]
    public static partial void NetworkRepaired(ILogger logger, string network);

    [LoggerMessage(1402, LogLevel.Error, "Networks could not be looked after; the next pass tries again.")]
    public static partial void NetworkRepairFailed(ILogger logger, Exception error);

    [LoggerMessage(1403, LogLevel.Warning, "No place in the network {Network} could be made ahead.")]
    public static partial void EndpointNotReady(ILogger logger, string network, Exception error);

    [LoggerMessage(1404, LogLevel.Debug, "The resolver of the network {Network} could not answer.")]
    public static partial void ResolverFailed(ILogger logger, string network, Exception error);

    [LoggerMessage(1420, LogLevel.Warning,
        "Not all tunnels of the network {Network} could be set; the next pass tries again.")]
    public static partial void NetworkNotShared(ILogger logger, string network, Exception error);

    [LoggerMessage(1450, LogLevel.Information,
        "What goes to other machines in encrypted networks is encrypted by {Program}, UDP port {Port}.")]
    public static partial void EncryptionBegun(ILogger logger, string program, int port);
}
