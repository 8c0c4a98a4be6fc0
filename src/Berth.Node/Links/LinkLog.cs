using Berth.Core.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

internal static partial class LinkLog
{
    [LoggerMessage(EventId = 1350, Level = LogLevel.Information,
        Message = "Fetched {Blobs} parts of the image {Image} in {Took}.")]
    public static partial void Fetched(ILogger logger, Digest image, int blobs, TimeSpan took);

    [LoggerMessage(EventId = 1351, Level = LogLevel.Information,
        Message = "Node {Node} is linked to {Server} and takes work.")]
    public static partial void Linked(ILogger logger, string node, string server);

    [LoggerMessage(EventId = 1352, Level = LogLevel.Warning,
        Message = "There is no link to {Server}. {Reason} The next try is in {Pause}.")]
    public static partial void NotLinked(ILogger logger, string server, string reason, TimeSpan pause);

    [LoggerMessage(EventId = 1353, Level = LogLevel.Warning, Message = "The server refuses this node. {Reason}")]
    public static partial void Refused(ILogger logger, string reason);

    [LoggerMessage(EventId = 1354, Level = LogLevel.Information,
        Message = "The node's certificate was renewed; it is valid until {End:O}.")]
    public static partial void Renewed(ILogger logger, DateTimeOffset end);

    [LoggerMessage(EventId = 1355, Level = LogLevel.Warning,
        Message = "The node's certificate could not be renewed yet. {Reason}")]
    public static partial void NotRenewed(ILogger logger, string reason);

    [LoggerMessage(EventId = 1356, Level = LogLevel.Warning,
        Message = "Attempt {Attempt} ends, because the link that ordered it did.")]
    public static partial void Orphaned(ILogger logger, string attempt);

    [LoggerMessage(EventId = 1357, Level = LogLevel.Warning,
        Message = "An order over the link can't be followed. {Reason}")]
    public static partial void BadOrder(ILogger logger, string reason);

    [LoggerMessage(EventId = 1358, Level = LogLevel.Information,
        Message = "Removed {Blobs} parts of images that were not used for long, {Bytes} bytes.")]
    public static partial void Collected(ILogger logger, int blobs, long bytes);

    [LoggerMessage(EventId = 1520, Level = LogLevel.Warning,
        Message = "The servers' addresses could not be kept for the next start. {Reason}")]
    public static partial void NotRemembered(ILogger logger, string reason);

    [LoggerMessage(EventId = 1721, Level = LogLevel.Warning,
        Message = "Volumes that this machine had before it joined were set aside in {Folder}. Nothing uses them: copy "
            + "out what is needed, and remove it.")]
    public static partial void FormerVolumes(ILogger logger, string folder);

    [LoggerMessage(EventId = 1700, Level = LogLevel.Information,
        Message = "Container {Attempt} ends here: its server does not want it on this node any more.")]
    public static partial void Dropped(ILogger logger, string attempt);

    [LoggerMessage(EventId = 1812, Level = LogLevel.Debug,
        Message = "The server {Server} does not tell of other nodes. {Reason}")]
    public static partial void NoNeighbours(ILogger logger, string server, string reason);

    [LoggerMessage(EventId = 1803, Level = LogLevel.Debug, Message = "Attempt {Attempt} is refused. {Reason}")]
    public static partial void NoRoom(ILogger logger, string attempt, string reason);

    [LoggerMessage(EventId = 1800, Level = LogLevel.Warning,
        Message = "The image {Image} could not be fetched ahead of need. {Reason}")]
    public static partial void NotFetchedAhead(ILogger logger, Digest image, string reason);

    [LoggerMessage(EventId = 1804, Level = LogLevel.Information,
        Message = "{Images} images are here from before.")]
    public static partial void Recalled(ILogger logger, int images);

    [LoggerMessage(EventId = 1805, Level = LogLevel.Warning,
        Message = "Which images are here from before could not be read; each is looked for when it is needed. "
            + "{Reason}")]
    public static partial void NotRecalled(ILogger logger, string reason);
}
