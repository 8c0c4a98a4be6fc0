using System.Text;
using Berth.Core.Errors;
using Berth.Server.Functions;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Berth.Server.Access;

/// <summary>
/// Lets a request through to its route or refuses it. It looks at nothing but the token and the route's row, before any
/// thing is looked up, so that a refusal is the same whether the thing exists or not.
/// </summary>
internal sealed class AccessGate(TokenStore tokens, bool metricsOpen, FunctionManager functions)
{
    public void Check(HttpContext context)
    {
        AccessRow? row = context.GetEndpoint()?.Metadata.GetMetadata<AccessRow>();
        if (row is { Permission: Permission.Open or Permission.Registry }
            || (metricsOpen && row is { Permission: Permission.MetricsRead }))
        {
            return;
        }

        if (row is not null && IsCall(row, context.Request))
        {
            string name = (string)context.Request.RouteValues["name"]!;
            int at = name.IndexOf('@', StringComparison.Ordinal);
            CheckCall(context, at < 0 ? name : name[..at]);
            return;
        }

        Caller caller = Recall(context) ?? Authenticate(context);
        if (row is not null && !caller.May(row.Permission))
        {
            throw new BerthException(
                ErrorCode.Forbidden,
                $"Token '{caller.Name}' has the role {Roles.NameOf(caller.Role)}, which may not {row.Method} here: "
                + "ask an administrator for a token with another role.");
        }

        caller.AttachTo(context);
    }

    /// <summary>The caller of the token that this connection has sent before, if it sends it again.</summary>
    private Caller? Recall(HttpContext context)
    {
        if (HttpProtocol.IsHttp2(context.Request.Protocol) || context.Features.Get<KnownCaller>() is not { } known)
        {
            return null;
        }

        string? header = context.Request.Headers.Authorization;
        if (header is not null && known.Of(header) is { } caller && tokens.Has(caller))
        {
            return caller;
        }

        caller = TryAuthenticate(header, tokens);
        known.Learn(header, caller);
        return caller;
    }

    /// <summary>Lets a call of a function through: of whoever may call functions, and of anybody where the function is
    /// open to all.</summary>
    public void CheckCall(HttpContext context, string function)
    {
        Caller? caller = Recall(context) ?? TryAuthenticate(context.Request.Headers.Authorization, tokens);
        if (caller?.May(Permission.FunctionCall) != true)
        {
            bool isPublic = functions.Find(function) is { Record.Edge.IsPublic: true };
            caller = isPublic ? Caller.Anonymous(context) : Authenticate(context);
            if (!isPublic)
            {
                throw new BerthException(
                    ErrorCode.Forbidden,
                    $"Token '{caller.Name}' has the role {Roles.NameOf(caller.Role)}, which may not call functions: "
                    + "ask an administrator for a token with another role.");
            }
        }

        caller!.AttachTo(context);
    }

    /// <summary>The function's own address with a slash behind it is the root of what its program serves.</summary>
    private static bool IsCall(AccessRow row, HttpRequest request) => row.Permission == Permission.FunctionCall
        || (row.Pattern == "/v1/functions/{name}" && request.Path.Value!.EndsWith('/'));

    /// <summary>
    /// The caller of a token sent as Bearer, or as the password of Basic; throws <c>Unauthorized</c>.
    /// </summary>
    public Caller Authenticate(HttpContext context) =>
        TryAuthenticate(context.Request.Headers.Authorization, tokens)
        ?? AwsToken.TryAuthenticate(context.Request, tokens) ?? throw new BerthException(
            ErrorCode.Unauthorized,
            "Send a valid token: 'Authorization: Bearer TOKEN', or with the command line BERTH_TOKEN or 'berth login'. "
            + "The first administrator's is in the file admin.token of the data folder.");

    public static Caller? TryAuthenticate(string? header, TokenStore tokens)
    {
        const string bearer = "Bearer ";
        const string basic = "Basic ";
        if (header is null)
        {
            return null;
        }

        if (header.StartsWith(bearer, StringComparison.OrdinalIgnoreCase))
        {
            return tokens.Find(header.AsSpan(bearer.Length).Trim());
        }

        return header.StartsWith(basic, StringComparison.OrdinalIgnoreCase)
            ? tokens.Find(PasswordOf(header.AsSpan(basic.Length).Trim()))
            : null;
    }

    // RFC 7617: base64 of "user:password"; the user's name has no colon.
    private static string PasswordOf(ReadOnlySpan<char> credentials)
    {
        Span<byte> bytes = stackalloc byte[512];
        if (credentials.Length > 680 || !Convert.TryFromBase64Chars(credentials, bytes, out int length))
        {
            return "";
        }

        int colon = bytes[..length].IndexOf((byte)':');
        return colon < 0 ? "" : Encoding.ASCII.GetString(bytes[(colon + 1)..length]);
    }
}
