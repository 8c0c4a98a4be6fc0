using Microsoft.Extensions.Logging;

namespace Berth.Server.Containers;

internal static partial class Log
{
    [LoggerMessage(EventId = 400, Level = LogLevel.Information,
        Message = "Container {Name} was running when the last server ended; it has exited.")]
    public static partial void FoundEnded(ILogger logger, string name);

    [LoggerMessage(EventId = 401, Level = LogLevel.Warning,
        Message = "Container {Name} could not be started by its restart policy.")]
    public static partial void StartFailed(ILogger logger, string name, Exception error);

    [LoggerMessage(EventId = 402, Level = LogLevel.Warning,
        Message = "A step of container {Name} can't be stored yet and is tried again.")]
    public static partial void StepNotStored(ILogger logger, string name, Exception error);

    [LoggerMessage(EventId = 403, Level = LogLevel.Error,
        Message = "The end of container {Name} could not be dealt with; the next start of the server sees to it.")]
    public static partial void EndFailed(ILogger logger, string name, Exception error);

    [LoggerMessage(EventId = 1600, Level = LogLevel.Warning,
        Message =
            "The volume {Volume} is recorded as the machine {Node}'s, and this one has another of that name, which "
            + "containers made before go on with.")]
    public static partial void VolumeTwice(ILogger logger, string volume, string node);

    [LoggerMessage(EventId = 404, Level = LogLevel.Information,
        Message = "Stopping {Count} containers.")]
    public static partial void StoppingAll(ILogger logger, int count);

    [LoggerMessage(EventId = 405, Level = LogLevel.Information,
        Message = "Removed {Count} writable layers that belong to no container.")]
    public static partial void Swept(ILogger logger, int count);

    [LoggerMessage(EventId = 1710, Level = LogLevel.Information,
        Message = "Container {Name} went on on the node {Node}; it is followed again once that is linked.")]
    public static partial void Adopted(ILogger logger, string name, string node);

    [LoggerMessage(EventId = 1711, Level = LogLevel.Warning,
        Message = "Container {Name} was on the node {Node}, which is lost: it is started elsewhere.")]
    public static partial void Moved(ILogger logger, string name, string node);

    [LoggerMessage(EventId = 1712, Level = LogLevel.Warning,
        Message = "Container {Name} is to be started again and no node takes it; it is tried again. {Reason}")]
    public static partial void NoNode(ILogger logger, string name, string reason);

    [LoggerMessage(EventId = 1713, Level = LogLevel.Information,
        Message = "Node {Node} has {Programs} programs, {Layers} layers and {Volumes} volumes of containers that are "
            + "not its any more: they go.")]
    public static partial void Fenced(ILogger logger, string node, int programs, int layers, int volumes);

    [LoggerMessage(EventId = 1722, Level = LogLevel.Information,
        Message = "Container {Name} leaves the node {Node}, which is drained, and is started elsewhere.")]
    public static partial void Leaves(ILogger logger, string name, string node);

    [LoggerMessage(EventId = 1714, Level = LogLevel.Warning,
        Message = "What the node {Node} keeps of containers can't be looked at yet. {Reason}")]
    public static partial void NotLookedAt(ILogger logger, string node, string reason);
}
