using Berth.Core.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Registry;

/// <summary>The registry's log messages.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "{Method} {Path} failed")]
    public static partial void RequestFailed(ILogger logger, string method, string path, Exception exception);

    [LoggerMessage(2, LogLevel.Warning, "{Method} {Path}: the client went away or sent a broken body: {Reason}")]
    public static partial void BodyBroken(ILogger logger, string method, string path, string reason);

    [LoggerMessage(3, LogLevel.Critical, "The stored blob {Digest} is damaged and was taken out of use: {Reason}")]
    public static partial void BlobDamaged(ILogger logger, Digest digest, string reason);

    [LoggerMessage(4, LogLevel.Information, "{Count} uploads that nobody continued for a day were removed")]
    public static partial void UploadsExpired(ILogger logger, int count);

    [LoggerMessage(
        5, LogLevel.Information,
        "Collected {Blobs} blobs ({Bytes} bytes), {Layers} unpacked layers and {Links} links in {Duration}")]
    public static partial void Collected(
        ILogger logger, int blobs, long bytes, int layers, int links, TimeSpan duration);

    [LoggerMessage(6, LogLevel.Warning, "The manifest {Digest} of {Repository} can't be read: {Reason}")]
    public static partial void ManifestUnreadable(ILogger logger, Digest digest, string repository, string reason);

    [LoggerMessage(7, LogLevel.Information, "Unpacked the {Layers} layers of {Repository}@{Digest} in {Duration}")]
    public static partial void Unpacked(
        ILogger logger, int layers, string repository, Digest digest, TimeSpan duration);

    [LoggerMessage(8, LogLevel.Error, "Closing idle uploads failed; the next pass tries again")]
    public static partial void UploadsNotClosed(ILogger logger, Exception exception);

    [LoggerMessage(9, LogLevel.Information, "Retention removed {Count} tags")]
    public static partial void TagsRetired(ILogger logger, int count);

    [LoggerMessage(
        10, LogLevel.Warning,
        "{Upstream} did not tell of {Repository}:{Reference}, so what is here is served: {Reason}")]
    public static partial void UpstreamFailed(
        ILogger logger, string upstream, string repository, string reference, string reason);

    [LoggerMessage(11, LogLevel.Warning, "{Upstream} did not give {Digest} of {Repository}: {Reason}")]
    public static partial void FetchFailed(
        ILogger logger, string upstream, string repository, Digest digest, string reason);
}
