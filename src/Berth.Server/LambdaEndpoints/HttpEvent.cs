using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.WebUtilities;
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
        EventRequest request, byte[] body, string function, string id, DateTimeOffset now)
    {
        int question = request.Target.IndexOf('?', StringComparison.Ordinal);
        string rawPath = question < 0 ? request.Target : request.Target[..question];
        ArrayBufferWriter<byte> to = new(1024 + body.Length);
        using Utf8JsonWriter json = new(to, Lenient);
        json.WriteStartObject();
        json.WriteString("version", "2.0");
        json.WriteString("routeKey", Stage);
        json.WriteString("rawPath", rawPath);
        json.WriteString("rawQueryString", question < 0 ? "" : request.Target[(question + 1)..]);
        WriteCookies(json, request.Cookies);
        WriteHeaders(json, request.Headers);
        WriteQuery(json, QueryHelpers.ParseQuery(question < 0 ? "" : request.Target[question..]));
        json.WriteStartObject("requestContext");
        json.WriteString("accountId", Account);
        json.WriteString("apiId", function);
        json.WriteString("domainName", request.Host);
        json.WriteString("domainPrefix", function);
        json.WriteStartObject("http");
        json.WriteString("method", request.Method);
        json.WriteString("path", rawPath);
        json.WriteString("protocol", request.Protocol);
        json.WriteString("sourceIp", request.SourceAddress);
        json.WriteString("userAgent", request.Find("user-agent"));
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

    private static void WriteCookies(Utf8JsonWriter json, IReadOnlyList<string> cookies)
    {
        if (cookies.Count == 0)
        {
            return;
        }

        json.WriteStartArray("cookies");
        foreach (string line in cookies)
        {
            foreach (string cookie in line.Split(
                ';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                json.WriteStringValue(cookie);
            }
        }

        json.WriteEndArray();
    }

    private static void WriteHeaders(Utf8JsonWriter json, IReadOnlyDictionary<string, string> headers)
    {
        json.WriteStartObject("headers");
        foreach ((string name, string value) in headers)
        {
            json.WriteString(name, value);
        }

        json.WriteEndObject();
    }

    private static void WriteQuery(Utf8JsonWriter json, Dictionary<string, StringValues> query)
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

    private static void WriteBody(Utf8JsonWriter json, EventRequest request, byte[] body)
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
    private static bool IsText(EventRequest request)
    {
        string type = request.Find("content-type") is { Length: > 0 } told ? told : "application/json";
        int end = type.IndexOf(';', StringComparison.Ordinal);
        ReadOnlySpan<char> media = (end < 0 ? type : type.AsSpan(0, end)).Trim();
        const StringComparison anyCase = StringComparison.OrdinalIgnoreCase;
        return request.Find("content-encoding").Length == 0
            && (media.StartsWith("text/", anyCase) || media.EndsWith("json", anyCase) || media.EndsWith("xml", anyCase)
                || media.EndsWith("javascript", anyCase)
                || media.Equals("application/x-www-form-urlencoded", anyCase));
    }
}
