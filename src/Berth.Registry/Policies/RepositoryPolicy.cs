using System.Text.Json.Serialization;
using Berth.Registry.Mirrors;

namespace Berth.Registry.Policies;

/// <summary>
/// What is asked of a repository and all below it. What is null or missing is left to the policy of the nearest
/// repository above that says it; quotas hold all at once.
/// </summary>
/// <param name="Scope">A repository's name, which means it and all below, or <c>*</c> for all.</param>
/// <param name="ImmutableTags">Patterns of tags that are neither moved nor removed.</param>
/// <param name="QuotaBytes">The most bytes of content.</param>
/// <param name="AnonymousPull">Whether everybody may pull, without a token.</param>
/// <param name="Webhooks">URLs told of tags that are pushed and removed; those of all scopes above are told too.
/// </param>
/// <param name="Upstream">The registry that it is a cache of; nothing can be pushed then.</param>
public sealed record RepositoryPolicy(
    string Scope, IReadOnlyList<string>? ImmutableTags, long? QuotaBytes, bool? AnonymousPull,
    RetentionPolicy? Retention, UpstreamPolicy? Upstream = null, IReadOnlyList<string>? Webhooks = null)
{
    /// <summary>Whether it says nothing.</summary>
    [JsonIgnore]
    public bool IsEmpty => ImmutableTags is null && QuotaBytes is null && AnonymousPull is null && Retention is null
        && Upstream is null && Webhooks is null;
}

/// <summary>Retention as it is kept; <see cref="Berth.Core.Images.RetentionRules"/> says what it means.</summary>
public sealed record RetentionPolicy(
    int? KeepLast, TimeSpan? KeepFor, IReadOnlyList<string>? Keep, IReadOnlyList<string>? Among);

/// <summary>The file of policies.</summary>
internal sealed record PolicyFile(int Version, IReadOnlyList<RepositoryPolicy> Policies);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PolicyFile))]
internal sealed partial class PolicyJson : JsonSerializerContext;
