using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Berth.Core.Containers;
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
    [property: JsonPropertyName("StopSignal")] string? StopSignal = null,
    [property: JsonPropertyName("Healthcheck")] ImageHealthCheck? Healthcheck = null);

/// <summary>Docker's addition to the configuration (moby, image/spec): how to tell whether the program is well.
/// </summary>
/// <param name="Test"><c>["NONE"]</c>, <c>["CMD", program, …]</c> or <c>["CMD-SHELL", line]</c>.</param>
/// <param name="Interval">Nanoseconds, like the other times; 0 and null are the default.</param>
public sealed record ImageHealthCheck(
    [property: JsonPropertyName("Test")] IReadOnlyList<string>? Test = null,
    [property: JsonPropertyName("Interval")] long? Interval = null,
    [property: JsonPropertyName("Timeout")] long? Timeout = null,
    [property: JsonPropertyName("StartPeriod")] long? StartPeriod = null,
    [property: JsonPropertyName("Retries")] int? Retries = null)
{
    private const long NanosecondsPerTick = 100;

    /// <summary>Null where the image has none.</summary>
    public HealthCheck? Read() => Test switch
    {
        ["CMD", _, ..] => Of([.. Test.Skip(1)]),
        ["CMD-SHELL", var line] => Of(["/bin/sh", "-c", line]),
        _ => null,
    };

    private HealthCheck Of(IReadOnlyList<string> command) => new(
        command, Time(Interval) ?? HealthCheck.DefaultTime, Time(Timeout) ?? HealthCheck.DefaultTime,
        Time(StartPeriod) ?? TimeSpan.Zero, Retries is > 0 and { } retries ? retries : HealthCheck.DefaultRetries);

    private static TimeSpan? Time(long? nanoseconds) =>
        nanoseconds is > 0 and { } some ? TimeSpan.FromTicks(some / NanosecondsPerTick) : null;
}

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
[JsonSerializable(typeof(JsonObject))]
public sealed partial class OciJson : JsonSerializerContext;
