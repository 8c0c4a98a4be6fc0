using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Server.Forwarding;
using Berth.Server.Lambda;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.LambdaEndpoints;

/// <summary>The HTTP answer that a function describes in JSON (API Gateway's payload format 2.0), or in the prelude of
/// a stream. Nothing of it may be anything but status, headers and body of this one answer.</summary>
internal static class HttpEventAnswer
{
    private const string PreludeType = "application/vnd.awslambda.http-integration-response";

    /// <summary>Between prelude and body.</summary>
    private const int Zeros = 8;

    private const int MaxPrelude = 64 * 1024;

    /// <summary>tchar of RFC 9110, section 5.6.2.</summary>
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Kestrel writes what is left byte by byte.</summary>
    private static readonly SearchValues<char> ValueCharacters = SearchValues.Create(
        [.. Enumerable.Range(' ', 0x100 - ' ').Where(c => c != 0x7f).Append('\t').Select(c => (char)c)]);

    public static bool HasPrelude(string? contentType) =>
        contentType?.StartsWith(PreludeType, StringComparison.OrdinalIgnoreCase) == true;

    /// <exception cref="BerthException">RunFailed, for what describes no answer.</exception>
    public static async Task WriteAsync(HttpContext context, string name, LambdaAnswer.Whole answer)
    {
        ReadOnlyMemory<byte> body;
        using (JsonDocument document = Parse(answer.Body, name))
        {
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("statusCode", out _))
            {
                // JSON that describes no answer is one.
                context.Response.ContentType = "application/json";
                body = answer.Body;
            }
            else
            {
                Describe(root, context.Response, name);
                body = BodyOf(root, name);
                if (context.Response.ContentType is null && !body.IsEmpty)
                {
                    context.Response.ContentType = "application/json";
                }
            }
        }

        if (!MayHaveBody(context.Response.StatusCode))
        {
            return;
        }

        context.Response.ContentLength = body.Length;
        await LambdaForwarder.WriteBodyAsync(context, body);
    }

    /// <summary>Reads what comes before the body.</summary>
    /// <exception cref="BerthException">RunFailed, for what describes no answer.</exception>
    public static async Task ReadPreludeAsync(HttpContext context, string name, LambdaCall call, AnswerStream stream)
    {
        while (true)
        {
            ReadResult read = await call.ReadAsync(stream);
            (bool found, SequencePosition end) = Find(read.Buffer);
            if (found)
            {
                byte[] prelude = read.Buffer.Slice(0, end).ToArray();
                stream.Body.AdvanceTo(read.Buffer.GetPosition(Zeros, end));
                using JsonDocument document = Parse(prelude, name);
                Describe(document.RootElement, context.Response, name);
                return;
            }

            bool over = read.IsCompleted || read.Buffer.Length > MaxPrelude;
            stream.Body.AdvanceTo(over ? read.Buffer.End : read.Buffer.Start, read.Buffer.End);
            if (over)
            {
                throw Refuse(name, $"its stream has no prelude of at most {MaxPrelude:N0} bytes");
            }
        }
    }

    private static (bool Found, SequencePosition End) Find(ReadOnlySequence<byte> buffer)
    {
        SequenceReader<byte> reader = new(buffer);
        return reader.TryReadTo(out ReadOnlySequence<byte> before, stackalloc byte[Zeros], advancePastDelimiter: false)
            && before.Length <= MaxPrelude
            ? (true, reader.Position)
            : (false, default);
    }

    private static void Describe(JsonElement root, HttpResponse response, string name)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Refuse(name, "it is no object");
        }

        response.StatusCode = root.TryGetProperty("statusCode", out JsonElement status)
            ? StatusOf(status, name)
            : StatusCodes.Status200OK;
        if (root.TryGetProperty("headers", out JsonElement headers) && headers.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty header in headers.EnumerateObject())
            {
                Put(response, header.Name, TextOf(header.Value), name);
            }
        }

        if (root.TryGetProperty("multiValueHeaders", out JsonElement lists)
            && lists.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty header in lists.EnumerateObject().Where(
                h => h.Value.ValueKind == JsonValueKind.Array))
            {
                Put(response, header.Name, new([.. header.Value.EnumerateArray().Select(TextOf)]), name);
            }
        }

        if (root.TryGetProperty("cookies", out JsonElement cookies) && cookies.ValueKind == JsonValueKind.Array)
        {
            Put(response, "Set-Cookie", new([.. cookies.EnumerateArray().Select(TextOf)]), name);
        }
    }

    private static int StatusOf(JsonElement value, string name)
    {
        string text = TextOf(value);
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int status)
            && status is >= 200 and <= 599
            ? status
            : throw Refuse(name, "its statusCode is none from 200 to 599");
    }

    private static void Put(HttpResponse response, string header, StringValues values, string name)
    {
        if (header.Length == 0 || header.AsSpan().ContainsAnyExcept(NameCharacters))
        {
            throw Refuse(name, "it has a header whose name is none");
        }

        if (!ForwardedFields.IsAnswerField(header, StringValues.Empty)
            || header.Equals("Content-Length", StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        foreach (string? value in values)
        {
            if (value.AsSpan().ContainsAnyExcept(ValueCharacters))
            {
                throw Refuse(name, $"its header {header} has control characters, or others than ISO 8859-1's");
            }
        }

        response.Headers.Append(header, values);
    }

    private static ReadOnlyMemory<byte> BodyOf(JsonElement root, string name)
    {
        if (!root.TryGetProperty("body", out JsonElement body) || body.ValueKind == JsonValueKind.Null)
        {
            return default;
        }

        if (body.ValueKind != JsonValueKind.String)
        {
            return Encoding.UTF8.GetBytes(body.GetRawText());
        }

        bool encoded = root.TryGetProperty("isBase64Encoded", out JsonElement flag)
            && flag.ValueKind == JsonValueKind.True;
        return !encoded ? Encoding.UTF8.GetBytes(body.GetString()!)
            : body.TryGetBytesFromBase64(out byte[]? bytes) ? bytes
            : throw Refuse(name, "its body is not in base 64");
    }

    private static string TextOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    private static bool MayHaveBody(int status) =>
        status is not (StatusCodes.Status204NoContent or StatusCodes.Status205ResetContent
            or StatusCodes.Status304NotModified);

    private static JsonDocument Parse(ReadOnlyMemory<byte> json, string name)
    {
        try
        {
            return JsonDocument.Parse(json);
        }
        catch (JsonException)
        {
            throw Refuse(name, "it is no JSON");
        }
    }

    private static BerthException Refuse(string name, string why) => new(
        ErrorCode.RunFailed,
        $"What {name} answered describes no HTTP answer: {why}. With event = raw its answer is passed on as it is.");
}
