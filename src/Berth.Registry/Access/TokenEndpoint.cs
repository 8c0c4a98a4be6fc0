using System.Text.Json.Serialization;
using Berth.Core.Errors;
using Berth.Registry.Endpoints;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Registry.Access;

/// <summary>Answer of the token endpoint; both names of the token because clients differ in which they read.</summary>
internal sealed record TokenAnswer(
    [property: JsonPropertyName("token")] string Token,
    [property: JsonPropertyName("access_token")] string AccessToken,
    [property: JsonPropertyName("token_type")] string TokenType,
    [property: JsonPropertyName("expires_in")] int ExpiresIn,
    [property: JsonPropertyName("issued_at")] string IssuedAt,
    [property: JsonPropertyName("scope")] string Scope);

/// <summary>
/// <c>/v2/token</c>: trades a Berth token, given as the password, for a registry token with the scopes asked for, as
/// far as its holder has them. GET with Basic (docker, skopeo, buildah, podman), or POST of an OAuth2 password form.
/// </summary>
internal sealed class TokenEndpoint(IRegistryAuthorizer authorizer, RegistryTokens tokens, TimeProvider time)
{
    private const int MaxFormBytes = 64 * 1024;

    public async Task HandleAsync(HttpContext context)
    {
        if (HttpMethods.IsPost(context.Request.Method))
        {
            await PostAsync(context);
            return;
        }

        string header = context.Request.Headers.Authorization.ToString();
        string? password = header.Length == 0 ? null : RequestAccess.ReadBasic(header)?.Password ?? "";
        await AnswerAsync(context, password, context.Request.Query["scope"]);
    }

    private async Task PostAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (!request.HasFormContentType || request.ContentLength > MaxFormBytes)
        {
            await OciErrors.WriteAsync(
                context, 400, "UNSUPPORTED", "Send a form of at most 64 KiB (application/x-www-form-urlencoded).");
            return;
        }

        RequestSizes.Limit(context, MaxFormBytes);
        IFormCollection form = await request.ReadFormAsync(context.RequestAborted);
        if (form["grant_type"] != "password")
        {
            await OciErrors.WriteAsync(
                context, 400, "UNSUPPORTED",
                $"grant_type '{Quoted.Of(form["grant_type"])}' is not supported: use password.");
            return;
        }

        await AnswerAsync(context, form["password"].ToString(), form["scope"]);
    }

    /// <param name="password">Null when the caller gave no credentials.</param>
    private async Task AnswerAsync(HttpContext context, string? password, StringValues scopes)
    {
        IRegistryCaller? caller = password is null
            ? authorizer.Anonymous
            : password.Length == 0 ? null : await authorizer.FindByTokenAsync(password, context.RequestAborted);
        if (caller is null)
        {
            context.Response.Headers.WWWAuthenticate = "Basic realm=\"berth\"";
            await OciErrors.WriteAsync(
                context, 401, "UNAUTHORIZED", "Log in with any user name and a Berth token as the password.");
            return;
        }

        List<RegistryScope> granted =
            [.. RegistryScope.Parse(scopes).Select(s => s.GrantTo(caller)).OfType<RegistryScope>()];
        string token = tokens.Issue(caller.Id, granted);

        // With a Z: an offset's plus sign would be escaped in JSON, which Go's time parser does not undo.
        string issued = time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ssZ");
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.WriteAsJsonAsync(
            new TokenAnswer(
                token, token, "Bearer", (int)RegistryTokens.Lifetime.TotalSeconds, issued, string.Join(' ', granted)),
            RegistryAnswers.Default.TokenAnswer, contentType: null, context.RequestAborted);
    }
}
