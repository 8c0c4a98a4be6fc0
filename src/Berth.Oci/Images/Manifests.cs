using System.Text.Json.Serialization;
using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>Points at content (OCI image specification 1.1, descriptor.md).</summary>
public sealed record Descriptor(
    [property: JsonPropertyName("mediaType")] string MediaType,
    [property: JsonPropertyName("digest")] string DigestText,
    [property: JsonPropertyName("size")] long Size,
    [property: JsonPropertyName("platform")] Platform? Platform = null,
    [property: JsonPropertyName("annotations")] IReadOnlyDictionary<string, string>? Annotations = null,
    [property: JsonPropertyName("artifactType")] string? ArtifactType = null)
{
    [JsonIgnore]
    public Digest Digest => Digest.Parse(DigestText);
}

/// <summary>Operating system and processor that an image is for (GOOS and GOARCH values).</summary>
public sealed record Platform(
    [property: JsonPropertyName("architecture")] string Architecture,
    [property: JsonPropertyName("os")] string Os,
    [property: JsonPropertyName("variant")] string? Variant = null);

/// <summary>An image manifest, OCI's or Docker's schema 2 (manifest.md).</summary>
public sealed record ImageManifest(
    [property: JsonPropertyName("schemaVersion")] int SchemaVersion,
    [property: JsonPropertyName("mediaType")] string? MediaType,
    [property: JsonPropertyName("config")] Descriptor Config,
    [property: JsonPropertyName("layers")] IReadOnlyList<Descriptor> Layers,
    [property: JsonPropertyName("subject")] Descriptor? Subject = null,
    [property: JsonPropertyName("artifactType")] string? ArtifactType = null,
    [property: JsonPropertyName("annotations")] IReadOnlyDictionary<string, string>? Annotations = null);

/// <summary>An image index or Docker manifest list (image-index.md).</summary>
public sealed record ImageIndex(
    [property: JsonPropertyName("schemaVersion")] int SchemaVersion,
    [property: JsonPropertyName("mediaType")] string? MediaType,
    [property: JsonPropertyName("manifests")] IReadOnlyList<Descriptor> Manifests,
    [property: JsonPropertyName("subject")] Descriptor? Subject = null,
    [property: JsonPropertyName("artifactType")] string? ArtifactType = null,
    [property: JsonPropertyName("annotations")] IReadOnlyDictionary<string, string>? Annotations = null);

/// <summary>The image's configuration document (config.md).</summary>
public sealed record ImageConfig(
    [property: JsonPropertyName("architecture")] string Architecture,
    [property: JsonPropertyName("os")] string Os,
    [property: JsonPropertyName("config")] ContainerDefaults? Config,
    [property: JsonPropertyName("rootfs")] RootFs RootFs,
    [property: JsonPropertyName("created")] string? Created = null,
    [property: JsonPropertyName("author")] string? Author = null,
    [property: JsonPropertyName("history")] IReadOnlyList<HistoryEntry>? History = null,
    [property: JsonPropertyName("variant")] string? Variant = null);

public sealed record RootFs(
    [property: JsonPropertyName("type")] string Type,
    [property: JsonPropertyName("diff_ids")] IReadOnlyList<string> DiffIds);

/// <summary>How the image wants its program run. JSON names are Docker's, capitals included.</summary>
public sealed record ContainerDefaults(
    [property: JsonPropertyName("User")] string? User = null,
    [property: JsonPropertyName("Env")] IReadOnlyList<string>? Env = null,
    [property: JsonPropertyName("Entrypoint")] IReadOnlyList<string>? Entrypoint = null,
    [property: JsonPropertyName("Cmd")] IReadOnlyList<string>? Cmd = null,
    [property: JsonPropertyName("WorkingDir")] string? WorkingDir = null,
    [property: JsonPropertyName("ExposedPorts")] IReadOnlyDictionary<string, EmptyObject>? ExposedPorts = null,
    [property: JsonPropertyName("Volumes")] IReadOnlyDictionary<string, EmptyObject>? Volumes = null,
    [property: JsonPropertyName("Labels")] IReadOnlyDictionary<string, string>? Labels = null,
    [property: JsonPropertyName("StopSignal")] string? StopSignal = null);

/// <summary>The <c>{}</c> that Go programs write as a set's value.</summary>
public sealed record EmptyObject;

public sealed record HistoryEntry(
    [property: JsonPropertyName("created")] string? Created = null,
    [property: JsonPropertyName("created_by")] string? CreatedBy = null,
    [property: JsonPropertyName("author")] string? Author = null,
    [property: JsonPropertyName("comment")] string? Comment = null,
    [property: JsonPropertyName("empty_layer")] bool? EmptyLayer = null);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 32)]
[JsonSerializable(typeof(ImageManifest))]
[JsonSerializable(typeof(ImageIndex))]
[JsonSerializable(typeof(ImageConfig))]
[JsonSerializable(typeof(Descriptor))]
public sealed partial class OciJson : JsonSerializerContext;
