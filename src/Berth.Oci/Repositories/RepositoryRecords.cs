using System.Text.Json.Serialization;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Repositories;

/// <summary>A manifest or index that a repository holds.</summary>
/// <param name="MediaType">As it was pushed.</param>
/// <param name="Subject">The manifest it is about, for the referrers list.</param>
/// <param name="PushedAt">When it was first pushed to this repository.</param>
public sealed record ManifestLink(Digest Digest, string MediaType, long Size, Digest? Subject, DateTimeOffset PushedAt);

/// <summary>A name that points at a manifest of the same repository, for now.</summary>
public sealed record TagLink(string Tag, Digest Digest, DateTimeOffset TaggedAt);

/// <summary>A part of a sorted list.</summary>
/// <param name="More">Whether entries follow; the next part starts after the last of these.</param>
public sealed record Page<T>(IReadOnlyList<T> Entries, bool More);

/// <summary>The file of a manifest link.</summary>
internal sealed record ManifestLinkFile(
    [property: JsonPropertyName("mediaType")] string MediaType,
    [property: JsonPropertyName("size")] long Size,
    [property: JsonPropertyName("subject")] string? Subject,
    [property: JsonPropertyName("pushedAt")] DateTimeOffset PushedAt);

/// <summary>The file of a tag.</summary>
internal sealed record TagLinkFile(
    [property: JsonPropertyName("digest")] string Digest,
    [property: JsonPropertyName("taggedAt")] DateTimeOffset TaggedAt);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 32)]
[JsonSerializable(typeof(ManifestLinkFile))]
[JsonSerializable(typeof(TagLinkFile))]
[JsonSerializable(typeof(Descriptor))]
[JsonSerializable(typeof(IReadOnlyList<Descriptor>))]
internal sealed partial class RepositoryJson : JsonSerializerContext;
