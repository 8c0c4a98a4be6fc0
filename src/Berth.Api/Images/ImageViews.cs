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
    IReadOnlyDictionary<string, string> Labels, IReadOnlyList<LayerView> Layers);

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
[JsonSerializable(typeof(CopyRequest))]
[JsonSerializable(typeof(CopyProgress))]
public sealed partial class ImageJson : JsonSerializerContext;
