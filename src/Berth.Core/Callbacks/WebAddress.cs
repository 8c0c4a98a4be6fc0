using System.Diagnostics.CodeAnalysis;

namespace Berth.Core.Callbacks;

/// <summary>Addresses of http and https as people, programs and other servers write them.</summary>
public static class WebAddress
{
    /// <summary>
    /// Whether it is a whole URL of one of the two. It has to be ASCII, as URLs are (RFC 3986, section 2; names in
    /// other letters are written <c>xn--</c>): <see cref="Uri"/> throws for some texts with others.
    /// </summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out Uri? address)
    {
        address = null;
        return text is not null && !text.AsSpan().ContainsAnyExceptInRange('!', '~')
            && (HasScheme(text, Uri.UriSchemeHttp) || HasScheme(text, Uri.UriSchemeHttps))
            && Uri.TryCreate(text, UriKind.Absolute, out address);
    }

    private static bool HasScheme(string text, string scheme) =>
        text.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)
        && text.AsSpan(scheme.Length).StartsWith("://", StringComparison.Ordinal);
}
