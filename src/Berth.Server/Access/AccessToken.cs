using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using Berth.Registry.Access;

namespace Berth.Server.Access;

/// <summary>A token as it is kept: who holds it and what it may do, but only the SHA-256 of its secret part.</summary>
/// <param name="Id">Public part, by which it is found.</param>
/// <param name="Hash">SHA-256 of the secret part's text, lower-case hexadecimal. The secret has 256 random bits, so a
/// plain hash is enough: there is nothing to guess.</param>
/// <param name="Repositories">Of a robot, what it may do where, as <see cref="RepositoryGrant"/> reads it.</param>
internal sealed record AccessToken(
    string Id, string Name, string Role, string Hash, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt,
    DateTimeOffset? LastUsedAt = null, IReadOnlyList<string>? Repositories = null);

/// <summary>The file of tokens.</summary>
internal sealed record TokenFile(int Version, IReadOnlyList<AccessToken> Tokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TokenFile))]
internal sealed partial class TokenFileJson : JsonSerializerContext;

/// <summary>The text a caller presents: <c>berth_&lt;public id&gt;_&lt;secret&gt;</c>. The prefix lets scanners of
/// leaked secrets find it.</summary>
internal readonly record struct TokenText(string Id, string Secret)
{
    public const string Prefix = "berth_";
    private const int IdLength = 12;
    private const int SecretLength = 64;

    public static TokenText New() => new(
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdLength / 2)),
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SecretLength / 2)));

    public static bool TryParse(ReadOnlySpan<char> text, out TokenText token)
    {
        token = default;
        if (text.Length != Prefix.Length + IdLength + 1 + SecretLength
            || !text.StartsWith(Prefix, StringComparison.Ordinal)
            || text[Prefix.Length + IdLength] != '_')
        {
            return false;
        }

        token = new TokenText(text.Slice(Prefix.Length, IdLength).ToString(), text[^SecretLength..].ToString());
        return true;
    }

    public string HashOfSecret() => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(Secret)));

    /// <summary>Whether the secret has this hash, in a time that doesn't depend on where they differ.</summary>
    public bool Matches(string hash)
    {
        Span<byte> own = stackalloc byte[SHA256.HashSizeInBytes];
        Span<byte> secret = stackalloc byte[SecretLength];
        // A character outside ASCII becomes '?', which no secret has.
        Encoding.ASCII.GetBytes(Secret, secret);
        SHA256.HashData(secret, own);
        Span<byte> kept = stackalloc byte[SHA256.HashSizeInBytes];
        Convert.FromHexString(hash, kept, out _, out _);
        return CryptographicOperations.FixedTimeEquals(own, kept);
    }

    public override string ToString() => $"{Prefix}{Id}_{Secret}";
}
