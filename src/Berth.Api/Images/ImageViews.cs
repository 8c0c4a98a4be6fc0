using System.Text.Json.Serialization;

namespace Berth.Api.Images;

/// <summary>A tagged image.</summary>
/// <param name="Size">Bytes of configuration and layers as stored (compressed).</param>
public sealed record ImageView(
    string Repository, string Tag, string Digest, long Size, string? Architecture, DateTimeOffset? Created,
    DateTimeOffset PushedAt, bool Unpacked);

public sealed record ImagePage(IReadOnlyList<ImageView> Images, string? Next);

/// <summary>One image in full. <c>Config</c> members are the image's own words.</summary>
public sealed record ImageDetail(
    ImageView Image, string MediaType, string? User, IReadOnlyList<string> Env, IReadOnlyList<string> Entrypoint,
    IReadOnlyList<string> Cmd, string? WorkingDir,
    IReadOnlyDictionary<string, string> Labels, IReadOnlyList<LayerView> Layers,
    IReadOnlyList<HistoryView>? History = null);

/// <summary>A step that an image was made by, first to last, as its maker wrote it down.</summary>
/// <param name="Layer">Digest of the layer that it made; null when it made none.</param>
/// <param name="Size">Bytes of that layer as stored.</param>
public sealed record HistoryView(
    string? Created, string? CreatedBy, string? Comment, string? Layer, long Size);

/// <summary>What is another in an image than in what it is compared with.</summary>
/// <param name="Base">What it is compared with: a reference, or the layers below the one asked about.</param>
/// <param name="Truncated">Whether there are more changes than were asked for.</param>
public sealed record ImageDiff(string Image, string Base, IReadOnlyList<FileChangeView> Changes, bool Truncated);

/// <param name="Change"><c>added</c>, <c>changed</c> or <c>deleted</c>.</param>
public sealed record FileChangeView(string Change, string Path, long Size);

/// <summary>Body of <c>POST /v1/images/prune</c>.</summary>
/// <param name="OlderThan">Only images pushed longer ago than this, such as <c>24h</c>; null for all.</param>
/// <param name="DryRun">Only tell what would be removed.</param>
public sealed record PruneRequest(string? OlderThan, bool DryRun);

/// <summary>The images that were removed, or would be.</summary>
/// <param name="Bytes">Freed by the collection after it.</param>
public sealed record PruneReport(bool DryRun, IReadOnlyList<PrunedImage> Removed, long Bytes);

public sealed record PrunedImage(string Repository, string Digest, DateTimeOffset PushedAt);

public sealed record LayerView(string Digest, string DiffId, long Size, string MediaType);

/// <summary>Asks the server to copy an image between itself and another registry.</summary>
/// <param name="Source">Reference to copy from.</param>
/// <param name="Target">Reference to copy to.</param>
/// <param name="Username">For the other registry; null for anonymous.</param>
/// <param name="Insecure">Plain HTTP to the other registry.</param>
public sealed record CopyRequest(string Source, string Target, string? Username, string? Password, bool Insecure);

/// <summary>
/// One line of the newline-delimited stream that answers a copy. The last one has <c>Digest</c> or <c>Error</c>.
/// </summary>
public sealed record CopyProgress(string Status, string? Layer, long? Done, long? Total, string? Digest, string? Error);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ImagePage))]
[JsonSerializable(typeof(ImageDetail))]
[JsonSerializable(typeof(ImageDiff))]
[JsonSerializable(typeof(PruneRequest))]
[JsonSerializable(typeof(PruneReport))]
[JsonSerializable(typeof(CopyRequest))]
[JsonSerializable(typeof(CopyProgress))]
public sealed partial class ImageJson : JsonSerializerContext;
