using System.Text.Json.Serialization;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Archives;

/// <summary>An image that an archive holds.</summary>
/// <param name="Name">What the archive calls it: a reference, only a tag, or null.</param>
/// <param name="Digest">Of its manifest or index.</param>
public sealed record ArchivedImage(string? Name, Digest Digest);

/// <summary>The file <c>oci-layout</c> (OCI image specification, image-layout.md).</summary>
internal sealed record LayoutVersion([property: JsonPropertyName("imageLayoutVersion")] string Version);

/// <summary>One image in <c>manifest.json</c> of docker save. Paths are within the archive.</summary>
internal sealed record DockerSaveImage(
    [property: JsonPropertyName("Config")] string Config,
    [property: JsonPropertyName("RepoTags")] IReadOnlyList<string>? RepoTags,
    [property: JsonPropertyName("Layers")] IReadOnlyList<string>? Layers);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 32)]
[JsonSerializable(typeof(LayoutVersion))]
[JsonSerializable(typeof(IReadOnlyList<DockerSaveImage>))]
[JsonSerializable(typeof(ImageIndex))]
internal sealed partial class ArchiveJson : JsonSerializerContext;
