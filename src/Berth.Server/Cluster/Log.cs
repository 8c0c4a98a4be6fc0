using Microsoft.Extensions.Logging;

namespace Berth.Server.Cluster;

internal static partial class Log
{
    [LoggerMessage(EventId = 1110, Level = LogLevel.Warning,
        Message = "Server {Name} ({Id}) is lost: {Count} runs that it had under way were taken over.")]
    public static partial void TakenOver(ILogger logger, string name, string id, int count);

    [LoggerMessage(EventId = 1111, Level = LogLevel.Warning,
        Message =
            "Run {Run} is another server's by now: this one stood still for too long. Its program is ended and what it "
            + "reports refused.")]
    public static partial void NotHeld(ILogger logger, string run);

    [LoggerMessage(EventId = 1112, Level = LogLevel.Error,
        Message = "What servers tell each other through the store failed; it is tried again.")]
    public static partial void PassFailed(ILogger logger, Exception error);

    [LoggerMessage(EventId = 1500, Level = LogLevel.Warning,
        Message = "{File} was another than the one of the servers that share the store, and is theirs now.")]
    public static partial void KeyReplaced(ILogger logger, string file);

    [LoggerMessage(EventId = 1501, Level = LogLevel.Information,
        Message = "Fetched {Blobs} parts of the image {Image} from another server in {Took}.")]
    public static partial void Fetched(ILogger logger, Core.Images.Digest image, int blobs, TimeSpan took);

    [LoggerMessage(EventId = 1503, Level = LogLevel.Warning,
        Message = "What has changed in {Repository} is told to the other servers later. {Reason}")]
    public static partial void NotTold(ILogger logger, string repository, string reason);

    [LoggerMessage(EventId = 1504, Level = LogLevel.Debug,
        Message = "{Repository} has a manifest {Digest} at another server that can't be had yet. {Reason}")]
    public static partial void NameOwed(ILogger logger, string repository, string digest, string reason);

    [LoggerMessage(EventId = 1505, Level = LogLevel.Information,
        Message = "The repository policies of all servers are in the store. {Taken} of {File} were taken there, {Left} "
            + "are for scopes that had one; that file is called {New} now.")]
    public static partial void PoliciesShared(ILogger logger, int taken, string file, int left, string @new);

    [LoggerMessage(EventId = 1502, Level = LogLevel.Information,
        Message = "The tokens of {File} are shared by all servers from now on; that file is called {New} now.")]
    public static partial void TokensShared(ILogger logger, string file, string @new);
}
