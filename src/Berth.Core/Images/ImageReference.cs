using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Images;

/// <summary>
/// A name for an image: <c>[host[:port]/]repository[:tag][@digest]</c>. Grammar of the OCI distribution specification
/// 1.1 ("pull"), with docker's rule that a first component with a dot, a colon or the word <c>localhost</c> is a host.
/// A reference without tag and digest means the tag <c>latest</c>.
/// </summary>
public sealed partial record ImageReference
{
    /// <summary>
    /// Longest repository name accepted (docker's limit; the specification advises 255 with the host).
    /// </summary>
    public const int MaxRepositoryLength = 255;

    private ImageReference(string? registryHost, string repository, string? tag, Digest? digest)
    {
        RegistryHost = registryHost;
        Repository = repository;
        Tag = tag;
        Digest = digest;
    }

    /// <summary>Host and port of another registry, or null for Berth's own.</summary>
    public string? RegistryHost { get; }

    /// <summary>Repository, for instance <c>demo/thumbnail</c>.</summary>
    public string Repository { get; }

    /// <summary>The tag; null only where a digest stands alone.</summary>
    public string? Tag { get; }

    public Digest? Digest { get; }

    /// <summary>The tag that something put there is given: <c>latest</c> where a digest stands alone.</summary>
    public string TagToGive => Tag ?? "latest";

    /// <summary>What the registry is asked for: the digest if there is one, else the tag.</summary>
    public string TagOrDigest => Digest?.Text ?? Tag!;

    public static ImageReference Parse(string value) => TryParse(value, out ImageReference? reference)
        ? reference
        : throw new BerthException(
            ErrorCode.InvalidReference,
            $"'{(value is { Length: > 300 } ? value[..300] + "…" : value)}' is not an image reference: expected "
            + "[host/]name[:tag][@digest], the name in lower-case letters, digits and . _ - / between them.");

    public static bool TryParse([NotNullWhen(true)] string? value, [NotNullWhen(true)] out ImageReference? reference)
    {
        reference = null;
        if (value is null || value.Length > 512)
        {
            return false;
        }

        Digest? digest = null;
        string rest = value;
        int at = rest.IndexOf('@', StringComparison.Ordinal);
        if (at >= 0)
        {
            if (!Images.Digest.TryParse(rest[(at + 1)..], out Digest parsed))
            {
                return false;
            }

            digest = parsed;
            rest = rest[..at];
        }

        string? tag = null;
        int colon = rest.LastIndexOf(':');
        if (colon > rest.LastIndexOf('/'))
        {
            tag = rest[(colon + 1)..];
            rest = rest[..colon];
            if (!IsTag(tag))
            {
                return false;
            }
        }

        (string? host, string repository) = SplitHost(rest);
        if (!IsRepository(repository) || (host is not null && !HostPattern().IsMatch(host)))
        {
            return false;
        }

        reference = new ImageReference(host, repository, tag ?? (digest is null ? "latest" : null), digest);
        return true;
    }

    public static bool IsRepository(string value) =>
        value.Length is > 0 and <= MaxRepositoryLength && RepositoryPattern().IsMatch(value);

    public static bool IsTag(string value) => TagPattern().IsMatch(value);

    public override string ToString() =>
        (RegistryHost is null ? "" : RegistryHost + "/") + Repository
        + (Tag is null ? "" : ":" + Tag) + (Digest is null ? "" : "@" + Digest);

    private static (string? Host, string Repository) SplitHost(string name)
    {
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        if (slash <= 0)
        {
            return (null, name);
        }

        string first = name[..slash];
        bool isHost = first == "localhost" || first.AsSpan().ContainsAny('.', ':', '[');
        return isHost ? (first, name[(slash + 1)..]) : (null, name);
    }

    [GeneratedRegex(@"\A[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex RepositoryPattern();

    [GeneratedRegex(@"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z", RegexOptions.NonBacktracking)]
    private static partial Regex TagPattern();

    [GeneratedRegex(@"\A(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,250}[a-zA-Z0-9])?|\[[0-9a-fA-F:.]{2,45}\])(?::[0-9]{1,5})?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex HostPattern();
}
