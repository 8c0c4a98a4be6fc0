using System.Buffers;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Berth.Server.Forwarding;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.LambdaEndpoints;

/// <summary>A request as an event of API Gateway's payload format 2.0, which adapters of web frameworks read.</summary>
internal static class HttpEvent
{
    private const string Stage = "$default";
    private const string Account = "anonymous";

    private static readonly JsonWriterOptions Lenient = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <param name="function">Stands for the id of the interface.</param>
    public static ReadOnlyMemory<byte> Write(
        HttpContext context, RequestedPath path, byte[] body, string function, string id, DateTimeOffset now)
    {
        HttpRequest request = context.Request;
        int question = path.Target.IndexOf('?', StringComparison.Ordinal);
        string rawPath = question < 0 ? path.Target : path.Target[..question];
        ArrayBufferWriter<byte> to = new(1024 + body.Length);
        using Utf8JsonWriter json = new(to, Lenient);
        json.WriteStartObject();
        json.WriteString("version", "2.0");
        json.WriteString("routeKey", Stage);
        json.WriteString("rawPath", rawPath);
        json.WriteString("rawQueryString", question < 0 ? "" : path.Target[(question + 1)..]);
        WriteCookies(json, request.Headers.Cookie);
        WriteHeaders(json, request, path.Prefix);
        WriteQuery(json, request.Query);
        json.WriteStartObject("requestContext");
        json.WriteString("accountId", Account);
        json.WriteString("apiId", function);
        json.WriteString("domainName", request.Host.Host);
        json.WriteString("domainPrefix", function);
        json.WriteStartObject("http");
        json.WriteString("method", request.Method);
        json.WriteString("path", rawPath);
        json.WriteString("protocol", request.Protocol);
        json.WriteString("sourceIp", AddressOf(context));
        json.WriteString("userAgent", request.Headers.UserAgent.ToString());
        json.WriteEndObject();
        json.WriteString("requestId", id);
        json.WriteString("routeKey", Stage);
        json.WriteString("stage", Stage);
        json.WriteString("time", now.ToString("dd'/'MMM'/'yyyy':'HH':'mm':'ss +0000", CultureInfo.InvariantCulture));
        json.WriteNumber("timeEpoch", now.ToUnixTimeMilliseconds());
        json.WriteEndObject();
        WriteBody(json, request, body);
        json.WriteEndObject();
        json.Flush();
        return to.WrittenMemory;
    }

    private static void WriteCookies(Utf8JsonWriter json, StringValues cookies)
    {
        if (cookies.Count == 0)
        {
            return;
        }

        json.WriteStartArray("cookies");
        foreach (string? line in cookies)
        {
            foreach (string cookie in (line ?? "").Split(
                ';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                json.WriteStringValue(cookie);
            }
        }

        json.WriteEndArray();
    }

    /// <summary>Names in small letters, values of the same name joined by commas.</summary>
    private static void WriteHeaders(Utf8JsonWriter json, HttpRequest request, string prefix)
    {
        json.WriteStartObject("headers");
        IHeaderDictionary headers = request.Headers;
        RequestWay way = RequestWay.Of(request);
        foreach ((string name, StringValues values) in headers)
        {
            if (ForwardedFields.IsRequestField(name, headers.Connection, way.IsTold)
                && !name.Equals("Cookie", StringComparison.OrdinalIgnoreCase))
            {
                json.WriteString(LowerCase(name), values.ToString());
            }
        }

        if (request.ContentLength is { } length)
        {
            json.WriteString("content-length", length.ToString(CultureInfo.InvariantCulture));
        }

        json.WriteString("host", request.Host.Value);
        json.WriteString("x-forwarded-for", way.For);
        json.WriteString("x-forwarded-proto", way.Scheme);
        json.WriteString("x-forwarded-host", way.Host);
        json.WriteString("x-forwarded-prefix", prefix);
        json.WriteEndObject();
    }

    private static void WriteQuery(Utf8JsonWriter json, IQueryCollection query)
    {
        if (query.Count == 0)
        {
            return;
        }

        json.WriteStartObject("queryStringParameters");
        foreach ((string name, StringValues values) in query)
        {
            json.WriteString(name, string.Join(',', values.ToArray()));
        }

        json.WriteEndObject();
    }

    private static void WriteBody(Utf8JsonWriter json, HttpRequest request, byte[] body)
    {
        bool isText = IsText(request) && Utf8.IsValid(body);
        if (body.Length > 0 && isText)
        {
            json.WriteString("body", body);
        }
        else if (body.Length > 0)
        {
            json.WriteBase64String("body", body);
        }

        json.WriteBoolean("isBase64Encoded", body.Length > 0 && !isText);
    }

    /// <summary>What API Gateway takes for text; all else comes in base 64.</summary>
    private static bool IsText(HttpRequest request)
    {
        string type = request.ContentType ?? "application/json";
        int end = type.IndexOf(';', StringComparison.Ordinal);
        ReadOnlySpan<char> media = (end < 0 ? type : type.AsSpan(0, end)).Trim();
        const StringComparison anyCase = StringComparison.OrdinalIgnoreCase;
        return request.Headers.ContentEncoding.Count == 0
            && (media.StartsWith("text/", anyCase) || media.EndsWith("json", anyCase) || media.EndsWith("xml", anyCase)
                || media.EndsWith("javascript", anyCase)
                || media.Equals("application/x-www-form-urlencoded", anyCase));
    }

    private static string AddressOf(HttpContext context)
    {
        IPAddress? ip = context.Connection.RemoteIpAddress;
        return ip is null ? "unknown" : (ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip).ToString();
    }

    private static string LowerCase(string name) => string.Create(
        name.Length, name, static (to, from) => Ascii.ToLower(from, to, out _));
}
