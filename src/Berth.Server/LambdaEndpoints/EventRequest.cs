using System.Globalization;
using System.Net;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Forwarding;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.LambdaEndpoints;

/// <summary>What an event tells of a request: of one that is there, or of one that was kept.</summary>
/// <param name="Target">Path and query for the program, as the caller wrote them.</param>
/// <param name="Host">That the caller asked, without a port.</param>
/// <param name="Headers">Names in small letters, values of the same name joined by commas; without cookies.</param>
/// <param name="Cookies">The lines of that header.</param>
internal sealed record EventRequest(
    string Method, string Target, string Protocol, string Host, string SourceAddress,
    IReadOnlyDictionary<string, string> Headers, IReadOnlyList<string> Cookies)
{
    private const string Cookie = "Cookie";

    public static EventRequest Of(HttpContext context, RequestedPath path)
    {
        HttpRequest request = context.Request;
        IHeaderDictionary headers = request.Headers;
        RequestWay way = RequestWay.Of(request);
        Dictionary<string, string> told = [];
        foreach ((string name, StringValues values) in headers)
        {
            if (ForwardedFields.IsRequestField(name, headers.Connection, way.IsTold)
                && !name.Equals(Cookie, StringComparison.OrdinalIgnoreCase))
            {
                told[Small(name)] = values.ToString();
            }
        }

        if (Caller.Of(context).IsAnonymous && OwnAuthorization.IsOfProgram(request))
        {
            told["authorization"] = headers.Authorization.ToString();
        }

        if (request.ContentLength is { } length)
        {
            told["content-length"] = length.ToString(CultureInfo.InvariantCulture);
        }

        told["host"] = request.Host.Value ?? "";
        told["x-forwarded-for"] = way.For;
        told["x-forwarded-proto"] = way.Scheme;
        told["x-forwarded-host"] = way.Host ?? "";
        told["x-forwarded-prefix"] = path.Prefix;
        return new EventRequest(
            request.Method, path.Target, request.Protocol, request.Host.Host, AddressOf(context), told,
            [.. headers.Cookie.OfType<string>()]);
    }

    /// <param name="length">Of the body.</param>
    public static EventRequest Of(ServiceCall call, long length)
    {
        Dictionary<string, string> told = [];
        List<string> cookies = [];
        foreach (HeaderField field in call.Fields)
        {
            if (field.Name.Equals(Cookie, StringComparison.OrdinalIgnoreCase))
            {
                cookies.Add(field.Value);
                continue;
            }

            string name = Small(field.Name);
            told[name] = told.TryGetValue(name, out string? before) ? $"{before},{field.Value}" : field.Value;
        }

        told["content-length"] = length.ToString(CultureInfo.InvariantCulture);
        return new EventRequest(
            call.Method, call.Target, "HTTP/1.1", new HostString(told.GetValueOrDefault("host", "")).Host,
            // Who asked comes before the proxies.
            told.GetValueOrDefault("x-forwarded-for", "unknown").Split(',')[0], told, cookies);
    }

    /// <param name="name">In small letters.</param>
    /// <returns>Empty where the request has none.</returns>
    public string Find(string name) => Headers.GetValueOrDefault(name, "");

    private static string AddressOf(HttpContext context)
    {
        IPAddress? ip = context.Connection.RemoteIpAddress;
        return ip is null ? "unknown" : (ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip).ToString();
    }

    private static string Small(string name) => string.Create(
        name.Length, name, static (to, from) => System.Text.Ascii.ToLower(from, to, out _));
}
