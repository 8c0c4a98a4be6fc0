using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>A user name and password, or a token as the password, for one registry.</summary>
public sealed record RegistryCredentials(string User, string Password);

/// <summary>
/// Answers a registry's 401: Basic with the credentials, Bearer with a token from the realm that the registry names
/// (distribution's token specification). Only requests to the registry's own scheme, host and port are authorized, so
/// nothing leaks along a redirect; a realm elsewhere is asked over https only.
/// </summary>
/// <param name="alsoScope">Asked for with every token, beside what the registry demands; null for nothing.</param>
internal sealed class RegistryAuthorization(
    Uri registry, RegistryCredentials? credentials, TimeProvider time, HttpMessageHandler inner, string? alsoScope)
    : DelegatingHandler(inner)
{
    private const int MaxTokenAnswer = 64 * 1024;

    // Registries that don't say grant a minute (distribution's token specification, "expires_in").
    private static readonly TimeSpan DefaultLife = TimeSpan.FromSeconds(60);

    // Renewed this long before its end, because an upload's body can't be sent twice.
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim renewing = new(1);
    private volatile Grant? current;

    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (!IsSameOrigin(request.RequestUri!, registry))
        {
            return await base.SendAsync(request, cancellationToken);
        }

        Grant? used = current;
        if (used?.Challenge is { } last && time.GetUtcNow() >= used.Expires - Margin)
        {
            used = await RenewAsync(used, last, cancellationToken);
        }

        request.Headers.Authorization = used?.Header;
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        if (response.StatusCode != HttpStatusCode.Unauthorized || Challenge.Read(response) is not { } challenge)
        {
            return response;
        }

        Grant? renewed = await RenewAsync(used, challenge, cancellationToken);
        if (renewed is null || request.Content is not (null or ByteArrayContent))
        {
            return response;
        }

        response.Dispose();
        request.Headers.Authorization = renewed.Header;
        return await base.SendAsync(request, cancellationToken);
    }

    protected override void Dispose(bool disposing)
    {
        renewing.Dispose();
        base.Dispose(disposing);
    }

    internal static bool IsSameOrigin(Uri one, Uri other) =>
        one.Scheme == other.Scheme && one.Port == other.Port
        && string.Equals(one.IdnHost, other.IdnHost, StringComparison.OrdinalIgnoreCase);

    /// <summary>A grant other than <paramref name="refused"/>, or null when the credentials are no help.</summary>
    private async Task<Grant?> RenewAsync(Grant? refused, Challenge challenge, CancellationToken cancellationToken)
    {
        await renewing.WaitAsync(cancellationToken);
        try
        {
            if (!ReferenceEquals(current, refused) && current is { } renewedByAnother)
            {
                return renewedByAnother;
            }

            if (challenge.Scheme == "basic")
            {
                return refused is null && credentials is not null
                    ? current = new Grant(Basic(credentials), null, DateTimeOffset.MaxValue)
                    : null;
            }

            return current = await FetchTokenAsync(challenge, cancellationToken);
        }
        finally
        {
            renewing.Release();
        }
    }

    private async Task<Grant> FetchTokenAsync(Challenge challenge, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, TokenAddress(challenge));
        request.Headers.Authorization = credentials is null ? null : Basic(credentials);
        using HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            string who = credentials is null ? "without credentials" : $"for the user '{credentials.User}'";
            throw new BerthException(
                response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden
                    ? ErrorCode.Unauthorized
                    : ErrorCode.Upstream,
                $"{request.RequestUri!.Host} gave no token {who} (status {(int)response.StatusCode}). Check user "
                    + $"name and password.");
        }

        await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken);
        byte[] bytes = await BlobReading.ReadAsync(body, "The token answer", MaxTokenAnswer, cancellationToken);
        TokenAnswer? answer;
        try
        {
            answer = JsonSerializer.Deserialize(bytes, TokenJson.Default.TokenAnswer);
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"{request.RequestUri!.Host} answered with no token document.", e);
        }

        string token = answer?.Token ?? answer?.AccessToken
            ?? throw new BerthException(ErrorCode.Upstream, $"{request.RequestUri!.Host} answered without a token.");
        TimeSpan life = answer.ExpiresIn is > 0 ? TimeSpan.FromSeconds(answer.ExpiresIn.Value) : DefaultLife;
        return new Grant(new AuthenticationHeaderValue("Bearer", token), challenge, time.GetUtcNow() + life);
    }

    private Uri TokenAddress(Challenge challenge)
    {
        if (!WebAddress.TryParse(challenge.Realm, out Uri? realm)
            || !(realm.Scheme == Uri.UriSchemeHttps || IsSameOrigin(realm, registry)))
        {
            throw new BerthException(
                ErrorCode.Upstream,
                $"The registry {registry.Authority} sends for a token to '{challenge.Realm}', which is neither "
                    + $"itself nor https.");
        }

        var query = new StringBuilder(realm.Query.Length > 1 ? realm.Query + "&" : "?");
        query.Append("service=").Append(Uri.EscapeDataString(challenge.Service));
        foreach (string scope in $"{challenge.Scope} {alsoScope}".Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            query.Append("&scope=").Append(Uri.EscapeDataString(scope));
        }

        return new UriBuilder(realm) { Query = query.ToString() }.Uri;
    }

    private static AuthenticationHeaderValue Basic(RegistryCredentials credentials) => new(
        "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{credentials.User}:{credentials.Password}")));

    private sealed record Grant(AuthenticationHeaderValue Header, Challenge? Challenge, DateTimeOffset Expires);

    /// <summary>What WWW-Authenticate asks for.</summary>
    private sealed record Challenge(string Scheme, string Realm, string Service, string Scope)
    {
        internal static Challenge? Read(HttpResponseMessage response)
        {
            foreach (AuthenticationHeaderValue header in response.Headers.WwwAuthenticate)
            {
                if (header.Scheme.Equals("bearer", StringComparison.OrdinalIgnoreCase))
                {
                    string text = header.Parameter ?? "";
                    return new Challenge(
                        "bearer", Parameter(text, "realm"), Parameter(text, "service"), Parameter(text, "scope"));
                }
            }

            return response.Headers.WwwAuthenticate.Any(
                h => h.Scheme.Equals("basic", StringComparison.OrdinalIgnoreCase))
                ? new Challenge("basic", "", "", "")
                : null;
        }

        private static string Parameter(string text, string name)
        {
            NameValueHeaderValue[] values = [.. SplitQuoted(text)
                .Select(p => NameValueHeaderValue.TryParse(p, out NameValueHeaderValue? v) ? v : null)
                .OfType<NameValueHeaderValue>()];
            return Array.Find(values, v => v.Name.Equals(name, StringComparison.OrdinalIgnoreCase))?.Value?.Trim('"')
                ?? "";
        }

        /// <summary>Splits at commas outside quotes: a scope holds commas itself.</summary>
        private static IEnumerable<string> SplitQuoted(string text)
        {
            int start = 0;
            bool quoted = false;
            for (int i = 0; i < text.Length; i++)
            {
                quoted ^= text[i] == '"';
                if (text[i] == ',' && !quoted)
                {
                    yield return text[start..i].Trim();
                    start = i + 1;
                }
            }

            yield return text[start..].Trim();
        }
    }
}

/// <summary>The answer of a token endpoint; older servers call the token <c>access_token</c>.</summary>
internal sealed record TokenAnswer(
    [property: JsonPropertyName("token")] string? Token,
    [property: JsonPropertyName("access_token")] string? AccessToken,
    [property: JsonPropertyName("expires_in")] int? ExpiresIn);

[JsonSerializable(typeof(TokenAnswer))]
internal sealed partial class TokenJson : JsonSerializerContext;
