using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Errors;
using Berth.Oci.Content;

namespace Berth.Registry.Access;

/// <summary>What a registry token says: for whom, until when (Unix seconds), and for which scopes.</summary>
internal sealed record TokenClaims(
    [property: JsonPropertyName("sub")] string Subject,
    [property: JsonPropertyName("exp")] long Expires,
    [property: JsonPropertyName("scope")] IReadOnlyList<string> Scopes);

[JsonSerializable(typeof(TokenClaims))]
internal sealed partial class TokenJson : JsonSerializerContext;

/// <summary>
/// Issues and reads the registry's short-lived tokens: <c>brt1.PAYLOAD.MAC</c>, the claims as JSON and
/// their HMAC-SHA-256 under the server's key, both base64url. The one algorithm is part of the format, so
/// there is none to choose.
/// </summary>
public sealed class RegistryTokens
{
    private const string Prefix = "brt1.";
    private const int KeyBytes = 32;

    private const int MaxLength = 16 * 1024;

    private readonly byte[] key;
    private readonly TimeProvider time;

    /// <param name="keyPath">File with the key, made at first use and readable by its owner only.</param>
    public RegistryTokens(string keyPath, TimeProvider time)
    {
        this.time = time;
        key = LoadKey(keyPath) ?? CreateKey(keyPath);
    }

    /// <summary>
    /// How long a token is good: enough for the next requests, since clients fetch a new one when told.
    /// </summary>
    public static TimeSpan Lifetime { get; } = TimeSpan.FromMinutes(5);

    internal static bool LooksLikeOne(string token) => token.StartsWith(Prefix, StringComparison.Ordinal);

    /// <exception cref="BerthException">InvalidRequest, for a token that would be too long to be read back.</exception>
    internal string Issue(string subject, IReadOnlyCollection<RegistryScope> scopes)
    {
        long expires = (time.GetUtcNow() + Lifetime).ToUnixTimeSeconds();
        TokenClaims claims = new(subject, expires, [.. scopes.Select(s => s.ToString())]);
        string signed = Prefix
            + Base64Url.EncodeToString(JsonSerializer.SerializeToUtf8Bytes(claims, TokenJson.Default.TokenClaims));
        string token = $"{signed}.{Base64Url.EncodeToString(Sign(signed))}";
        return token.Length <= MaxLength
            ? token
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"A token for these {scopes.Count} scopes would have {token.Length} characters; at most {MaxLength} "
                + "are read: ask for fewer scopes at once.");
    }

    /// <summary>The claims of a token of ours that is still good, or null.</summary>
    internal TokenClaims? Read(string token)
    {
        int dot = token.LastIndexOf('.');
        if (!LooksLikeOne(token) || token.Length > MaxLength || dot <= Prefix.Length)
        {
            return null;
        }

        string signed = token[..dot];
        try
        {
            byte[] mac = Base64Url.DecodeFromChars(token.AsSpan(dot + 1));
            if (!CryptographicOperations.FixedTimeEquals(mac, Sign(signed)))
            {
                return null;
            }

            byte[] payload = Base64Url.DecodeFromChars(signed.AsSpan(Prefix.Length));
            TokenClaims? claims = JsonSerializer.Deserialize(payload, TokenJson.Default.TokenClaims);
            return claims is not null && claims.Expires > time.GetUtcNow().ToUnixTimeSeconds() ? claims : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static byte[]? LoadKey(string path)
    {
        byte[]? found = File.Exists(path) ? File.ReadAllBytes(path) : null;
        return found is { Length: KeyBytes } ? found : null;
    }

    private static byte[] CreateKey(string path)
    {
        byte[] made = RandomNumberGenerator.GetBytes(KeyBytes);
        DurableFile.ReplacePrivate(path, made);
        return made;
    }

    private byte[] Sign(string signed) => HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(signed));
}
