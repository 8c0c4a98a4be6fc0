using System.Text.Json.Serialization;

namespace Berth.Api.Access;

/// <summary>What is told about a token. The token itself is told once, in <see cref="TokenCreated"/>.</summary>
/// <param name="Id">The public part, by which it is listed and removed.</param>
/// <param name="Role"><c>admin</c>: everything; <c>publisher</c>: everything but tokens and collecting garbage;
/// <c>user</c>: neither replacing nor removing images either; <c>pull</c>: pulling images only;
/// <c>robot</c>: what <paramref name="Repositories"/> says, by the registry protocol only.</param>
/// <param name="LastUsedAt">To the minute; null when it was never used.</param>
/// <param name="Repositories">Of a robot, patterns and actions such as <c>team/*:pull,push</c>; the actions are pull,
/// push, overwrite and delete.</param>
public sealed record TokenView(
    string Id, string Name, string Role, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt,
    DateTimeOffset? LastUsedAt, IReadOnlyList<string>? Repositories = null);

/// <summary>The tokens, the administrator's first one included.</summary>
public sealed record TokenList(IReadOnlyList<TokenView> Tokens);

/// <summary>Body of <c>POST /v1/tokens</c>.</summary>
/// <param name="Role">As in <see cref="TokenView"/>; null is <c>user</c>.</param>
/// <param name="ExpiresIn">A length of time such as <c>30d</c>; null never expires.</param>
/// <param name="Repositories">As in <see cref="TokenView"/>.</param>
public sealed record TokenRequest(
    string Name, string? Role, string? ExpiresIn, IReadOnlyList<string>? Repositories = null);

/// <summary>Answer to it (201). <c>Secret</c> is the whole token and can't be read again.</summary>
public sealed record TokenCreated(TokenView Token, string Secret);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TokenList))]
[JsonSerializable(typeof(TokenRequest))]
[JsonSerializable(typeof(TokenCreated))]
public sealed partial class AccessJson : JsonSerializerContext;
