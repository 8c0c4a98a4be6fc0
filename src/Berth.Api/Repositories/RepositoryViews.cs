using System.Text.Json.Serialization;

namespace Berth.Api.Repositories;

/// <summary>A repository in a list.</summary>
/// <param name="Bytes">Of its manifests and blobs as stored; a blob in two repositories counts in each.</param>
public sealed record RepositoryView(string Name, int Tags, long Bytes);

/// <summary>Some of the repositories, by name, and every policy.</summary>
public sealed record RepositoryPage(
    IReadOnlyList<RepositoryView> Repositories, IReadOnlyList<ScopedPolicy> Policies, string? Next);

/// <summary>A policy and what it is for: a repository and all below it, or <c>*</c>.</summary>
public sealed record ScopedPolicy(string Scope, PolicyView Policy);

/// <summary>What is asked of a repository and all below it. What is absent is left to the repository above; quotas
/// hold all at once.</summary>
/// <param name="ImmutableTags">Patterns of tags that are neither moved nor removed.</param>
/// <param name="Quota">The most content, such as <c>10GiB</c>.</param>
/// <param name="AnonymousPull">Whether everybody may pull, without a token.</param>
/// <param name="Webhooks">URLs told of tags that are pushed and removed, beside those of the scopes above.</param>
/// <param name="Upstream">The registry that it is a cache of; nothing can be pushed then.</param>
public sealed record PolicyView(
    IReadOnlyList<string>? ImmutableTags = null, string? Quota = null, bool? AnonymousPull = null,
    RetentionView? Retention = null, UpstreamView? Upstream = null, IReadOnlyList<string>? Webhooks = null);

/// <summary>The registry that a repository is a cache of.</summary>
/// <param name="Url">Scheme and host; a path is put before the repositories' names there.</param>
/// <param name="Username">Null for anonymous.</param>
/// <param name="Password">Only ever sent to the server; left out, the one that it has is kept.</param>
public sealed record UpstreamView(string Url, string? Username = null, string? Password = null);

/// <summary>Which tags stay; one that no rule keeps is removed.</summary>
/// <param name="KeepLast">The so many newest.</param>
/// <param name="KeepFor">Those younger than this, such as <c>30d</c>.</param>
/// <param name="Keep">Those that match one of these patterns.</param>
/// <param name="Among">The tags that the rules are about; absent for all.</param>
public sealed record RetentionView(
    int? KeepLast = null, string? KeepFor = null, IReadOnlyList<string>? Keep = null,
    IReadOnlyList<string>? Among = null);

/// <summary>A repository, or a scope of policies that holds some.</summary>
/// <param name="Policy">What is said for exactly this scope.</param>
/// <param name="Effective">What holds for the repository, with what the ones above it say.</param>
public sealed record RepositoryDetail(
    string Scope, int Repositories, int Tags, long Bytes, PolicyView? Policy, PolicyView Effective,
    IReadOnlyList<QuotaView> Quotas);

/// <summary>A quota that the repository counts towards, and how much of it is used.</summary>
public sealed record QuotaView(string Scope, long Bytes, long Used);

/// <summary>Body of <c>POST /v1/retention</c>.</summary>
/// <param name="Scope">A repository and all below it; null for all.</param>
/// <param name="DryRun">Only tell what would be removed.</param>
public sealed record RetentionRequest(string? Scope, bool DryRun);

/// <summary>The tags that were removed, or would be.</summary>
public sealed record RetentionReport(bool DryRun, IReadOnlyList<RetiredTag> Removed);

public sealed record RetiredTag(string Repository, string Tag, string Digest, DateTimeOffset TaggedAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RepositoryPage))]
[JsonSerializable(typeof(RepositoryDetail))]
[JsonSerializable(typeof(PolicyView))]
[JsonSerializable(typeof(RetentionRequest))]
[JsonSerializable(typeof(RetentionReport))]
public sealed partial class RepositoryJson : JsonSerializerContext;
