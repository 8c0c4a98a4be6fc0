using System.Collections.Frozen;
using System.Globalization;
using Berth.Server.Hosting;
using Berth.Server.Telemetry;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// What a program is told about its request: the variables of CGI (RFC 3875, section 4.1) and the trace. Credentials,
/// Berth's own options and headers that concern only the connection are never among them, nor is what somebody other
/// than a trusted proxy says of the request's way.
/// </summary>
internal static class CgiVariables
{
    private static readonly FrozenSet<string> Withheld = new[]
    {
        "Authorization", "Proxy-Authorization", "Proxy", "Proxy-Connection", "Connection", "Keep-Alive", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Expect", "Prefer", "Idempotency-Key",
        "TraceParent", "TraceState", "Content-Type", "Content-Length",
    }.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    public static Dictionary<string, string> Of(HttpRequest request)
    {
        Dictionary<string, string> variables = new()
        {
            ["REQUEST_METHOD"] = request.Method,
            ["QUERY_STRING"] = request.QueryString.HasValue ? request.QueryString.Value![1..] : "",
        };
        if (request.ContentType is { Length: > 0 } type)
        {
            variables["CONTENT_TYPE"] = type;
        }

        if (request.ContentLength is { } length)
        {
            variables["CONTENT_LENGTH"] = length.ToString(CultureInfo.InvariantCulture);
        }

        bool hasWay = TrustedProxies.Before(request.HttpContext) is not null;
        foreach ((string name, Microsoft.Extensions.Primitives.StringValues values) in request.Headers)
        {
            if (IsPassed(name) && (hasWay || !TrustedProxies.Concerns(name)))
            {
                string value = name.Equals("Cookie", StringComparison.OrdinalIgnoreCase)
                    ? WithoutOwnCookies(values.ToString())
                    : values.ToString();
                if (value.Length > 0)
                {
                    variables["HTTP_" + name.ToUpperInvariant().Replace('-', '_')] = value;
                }
            }
        }

        TraceContext trace = TraceContext.Of(request.HttpContext);
        variables[SpanDocument.TraceVariable] = trace.Parent;
        if (trace.CallerSpan is { } caller)
        {
            variables[SpanDocument.CallerSpanVariable] = caller;
        }

        if (trace.State is { } state)
        {
            variables[SpanDocument.StateVariable] = state;
        }

        return variables;
    }

    // An underscore is left out: X_A and X-A would become the same variable, and one could pass for the other.
    private static bool IsPassed(string name) =>
        !Withheld.Contains(name) && !name.StartsWith(OptionHeaders.Prefix, StringComparison.OrdinalIgnoreCase)
        && !name.AsSpan().ContainsAnyExcept(HeaderNameCharacters);

    private static readonly System.Buffers.SearchValues<char> HeaderNameCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

    private static string WithoutOwnCookies(string header) => header.Contains("berth_", StringComparison.Ordinal)
        ? string.Join("; ", header.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Where(c => !c.StartsWith("berth_", StringComparison.Ordinal)))
        : header;
}
