using System.Security.Cryptography;
using System.Text;

namespace Berth.Api.Links;

/// <summary>
/// What lets one machine join once: <c>berth-node_&lt;public id&gt;_&lt;secret&gt;_&lt;fingerprint&gt;</c>. The
/// fingerprint is the SHA-256 of the certificate of the server's authority, so that the machine knows the server before
/// it says the secret.
/// </summary>
public readonly record struct JoinToken(string Id, string Secret, string Fingerprint)
{
    public const string Prefix = "berth-node_";
    private const int IdLength = 12;
    private const int SecretLength = 64;
    private const int Length = 11 + IdLength + 1 + SecretLength + 1 + SecretLength;

    public static JoinToken New(string fingerprint) => new(
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdLength / 2)),
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SecretLength / 2)), fingerprint);

    public static bool TryParse(ReadOnlySpan<char> text, out JoinToken token)
    {
        token = default;
        if (text.Length != Length || !text.StartsWith(Prefix, StringComparison.Ordinal)
            || text[Prefix.Length + IdLength] != '_' || text[^(SecretLength + 1)] != '_')
        {
            return false;
        }

        ReadOnlySpan<char> id = text.Slice(Prefix.Length, IdLength);
        ReadOnlySpan<char> secret = text.Slice(Prefix.Length + IdLength + 1, SecretLength);
        ReadOnlySpan<char> fingerprint = text[^SecretLength..];
        if (IsNotHex(id) || IsNotHex(secret) || IsNotHex(fingerprint))
        {
            return false;
        }

        token = new JoinToken(id.ToString(), secret.ToString(), fingerprint.ToString());
        return true;
    }

    /// <summary>All that is kept of the secret. It has 256 random bits: there is nothing to guess.</summary>
    public string HashOfSecret() => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(Secret)));

    /// <summary>Whether the secret has this hash, in a time that doesn't depend on where they differ.</summary>
    public bool Matches(string hash) => CryptographicOperations.FixedTimeEquals(
        Encoding.ASCII.GetBytes(HashOfSecret()), Encoding.ASCII.GetBytes(hash));

    public override string ToString() => $"{Prefix}{Id}_{Secret}_{Fingerprint}";

    private static bool IsNotHex(ReadOnlySpan<char> text) => text.ContainsAnyExcept("0123456789abcdef");
}
