using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Berth.Core.Triggers;

/// <summary>How a webhook's sender shows that it knows the secret: an HMAC-SHA256 in a header.</summary>
public enum WebhookStyle
{
    /// <summary><c>X-Hub-Signature-256: sha256=HEX</c> of the body, as GitHub sends it.</summary>
    GitHub = 0,

    /// <summary><c>Stripe-Signature: t=SECONDS,v1=HEX</c> of the seconds, a dot and the body; Berth's own callbacks
    /// have the same in <c>Berth-Signature</c>.</summary>
    Timestamped = 1,

    /// <summary>HEX or base64 of the body, with or without <c>sha256=</c> before it, in a header of any name.</summary>
    Plain = 2,
}

/// <summary>What a webhook must come with.</summary>
/// <param name="Header">That has the signature.</param>
/// <param name="Secret">Name of the secret that it is made with.</param>
/// <param name="Window">How far the moment of a timestamped one may be from now, either way.</param>
/// <param name="IsEvents">Its bodies are CloudEvents.</param>
public sealed record WebhookSpec(WebhookStyle Style, string Header, string Secret, TimeSpan Window, bool IsEvents)
{
    public static TimeSpan DefaultWindow { get; } = TimeSpan.FromMinutes(5);

    public static string DefaultHeader(WebhookStyle style) => style switch
    {
        WebhookStyle.GitHub => "X-Hub-Signature-256",
        WebhookStyle.Timestamped => "Stripe-Signature",
        _ => "X-Signature",
    };
}

/// <summary>Checks signatures of webhooks, in a time that tells nothing of the right one.</summary>
public static class WebhookSignature
{
    /// <summary>No header of a sender is longer.</summary>
    private const int MaxLength = 1024;

    /// <summary>A header may carry several, while the sender changes its secret.</summary>
    private const int MaxCandidates = 8;

    private const string Prefix = "sha256=";

    /// <param name="header">Null where there is none.</param>
    public static bool Verify(
        WebhookSpec hook, ReadOnlySpan<byte> secret, string? header, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        string text = header is { Length: <= MaxLength } ? header : "";
        string? seconds = hook.Style == WebhookStyle.Timestamped ? SecondsOf(text) : null;
        Span<byte> right = stackalloc byte[SHA256.HashSizeInBytes];
        Sign(secret, seconds, body, right);
        bool matches = false;
        foreach (byte[] candidate in Candidates(hook.Style, text))
        {
            matches |= CryptographicOperations.FixedTimeEquals(candidate, right);
        }

        return matches && (hook.Style != WebhookStyle.Timestamped || IsWithin(seconds, now, hook.Window));
    }

    /// <summary>What a sender would send.</summary>
    public static string Make(
        WebhookStyle style, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        string seconds = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        Span<byte> mac = stackalloc byte[SHA256.HashSizeInBytes];
        Sign(secret, style == WebhookStyle.Timestamped ? seconds : null, body, mac);
        string hex = Convert.ToHexString(mac).ToLowerInvariant();
        return style == WebhookStyle.Timestamped ? $"t={seconds},v1={hex}" : Prefix + hex;
    }

    private static void Sign(ReadOnlySpan<byte> secret, string? seconds, ReadOnlySpan<byte> body, Span<byte> mac)
    {
        using IncrementalHash hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secret);
        if (seconds is not null)
        {
            hash.AppendData(Encoding.ASCII.GetBytes(seconds + "."));
        }

        hash.AppendData(body);
        hash.GetHashAndReset(mac);
    }

    private static string? SecondsOf(string header) =>
        Parts(header).Where(p => p.StartsWith("t=", StringComparison.Ordinal)).Select(p => p[2..]).FirstOrDefault();

    private static bool IsWithin(string? seconds, DateTimeOffset now, TimeSpan window) =>
        seconds is { Length: <= 12 }
        && long.TryParse(seconds, NumberStyles.None, CultureInfo.InvariantCulture, out long unix)
        && Math.Abs(now.ToUnixTimeSeconds() - unix) <= (long)window.TotalSeconds;

    private static IEnumerable<byte[]> Candidates(WebhookStyle style, string header) => (style switch
    {
        WebhookStyle.GitHub =>
            header.StartsWith(Prefix, StringComparison.Ordinal) ? [Hex(header[Prefix.Length..])] : [],
        WebhookStyle.Timestamped => Parts(header).Where(p => p.StartsWith("v1=", StringComparison.Ordinal))
            .Take(MaxCandidates).Select(p => Hex(p[3..])),
        _ => Plain(header.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) ? header[Prefix.Length..] : header),
    }).OfType<byte[]>();

    private static IEnumerable<byte[]?> Plain(string text)
    {
        yield return Hex(text);
        byte[] bytes = new byte[SHA256.HashSizeInBytes];
        if (Convert.TryFromBase64String(text, bytes, out int count) && count == bytes.Length)
        {
            yield return bytes;
        }
    }

    private static string[] Parts(string header) => header.Split(',', StringSplitOptions.TrimEntries);

    /// <summary>Null for what is no hexadecimal hash.</summary>
    private static byte[]? Hex(string text) =>
        text.Length == SHA256.HashSizeInBytes * 2 && text.All(char.IsAsciiHexDigit)
            ? Convert.FromHexString(text)
            : null;
}
