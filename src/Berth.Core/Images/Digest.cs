using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Berth.Core.Errors;

namespace Berth.Core.Images;

/// <summary>
/// A content digest, <c>sha256:…</c> or <c>sha512:…</c>, lower-case hex (OCI image specification, descriptor.md).
/// </summary>
public readonly record struct Digest
{
    private readonly string? text;

    private Digest(string text) => this.text = text;

    /// <summary>The whole digest as written on the wire, for instance <c>sha256:ab…</c>.</summary>
    public string Text => text ?? throw new InvalidOperationException("An empty Digest was used.");

    public string Algorithm => Text[..6];

    public string Hex => Text[7..];

    /// <summary>Whether this is the default value rather than a parsed digest.</summary>
    public bool IsEmpty => text is null;

    /// <summary>The first twelve hexadecimal digits, for people.</summary>
    public string Short => Hex[..12];

    public static Digest Parse(string value) => TryParse(value, out Digest digest)
        ? digest
        : throw new BerthException(
            ErrorCode.InvalidDigest,
            $"'{Quote(value)}' is not a digest: expected sha256: and 64, "
            + "or sha512: and 128, lower-case hexadecimal digits.");

    public static bool TryParse([NotNullWhen(true)] string? value, out Digest digest)
    {
        int hexLength = value switch
        {
            { Length: 71 } when value.StartsWith("sha256:", StringComparison.Ordinal) => 64,
            { Length: 135 } when value.StartsWith("sha512:", StringComparison.Ordinal) => 128,
            _ => 0,
        };
        if (hexLength == 0 || value.AsSpan(7).ContainsAnyExcept("0123456789abcdef"))
        {
            digest = default;
            return false;
        }

        digest = new Digest(value!);
        return true;
    }

    /// <summary>The sha256 digest of <paramref name="content"/>.</summary>
    public static Digest Sha256(ReadOnlySpan<byte> content) => FromHash("sha256", SHA256.HashData(content));

    /// <summary>
    /// Wraps a finished hash; <paramref name="algorithm"/> is <c>sha256</c> (32 bytes) or <c>sha512</c> (64 bytes).
    /// </summary>
    public static Digest FromHash(string algorithm, ReadOnlySpan<byte> hash) =>
        Parse($"{algorithm}:{Convert.ToHexStringLower(hash)}");

    /// <summary>A hasher for this digest's algorithm. The caller disposes it.</summary>
    public IncrementalHash CreateHash() =>
        IncrementalHash.CreateHash(Algorithm == "sha512" ? HashAlgorithmName.SHA512 : HashAlgorithmName.SHA256);

    public override string ToString() => text ?? "(none)";

    private static string Quote(string? value) => value is { Length: > 140 } ? value[..140] + "…" : value ?? "";
}
