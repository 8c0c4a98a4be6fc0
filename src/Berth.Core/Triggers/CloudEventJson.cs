using System.Text;
using System.Text.Json;
using Berth.Core.Errors;

namespace Berth.Core.Triggers;

/// <summary>Reads events as the JSON format has them, one or a list (CloudEvents JSON event format 1.0).</summary>
public static class CloudEventJson
{
    private const string Json = "application/json";

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 64 };

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static CloudEvent ReadOne(ReadOnlyMemory<byte> body)
    {
        using JsonDocument document = Parse(body);
        return Read(document.RootElement);
    }

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static IReadOnlyList<CloudEvent> ReadBatch(ReadOnlyMemory<byte> body)
    {
        using JsonDocument document = Parse(body);
        JsonElement root = document.RootElement;
        return root.ValueKind != JsonValueKind.Array
            ? throw CloudEvent.Refuse("the body is no list", "a batch is a list of events")
            : root.GetArrayLength() > CloudEvent.MaxBatch
                ? throw CloudEvent.Refuse(
                    $"the batch has {root.GetArrayLength()} events", $"send {CloudEvent.MaxBatch} at most at once")
                : [.. root.EnumerateArray().Select(Read)];
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            return JsonDocument.Parse(body, Strict);
        }
        catch (JsonException error)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"The body is no JSON: {error.Message}", error);
        }
    }

    private static CloudEvent Read(JsonElement element)
    {
        try
        {
            return ReadMembers(element);
        }
        catch (InvalidOperationException)
        {
            // Bytes that are no UTF-8, or half a surrogate pair, which JSON can write and no text has.
            throw CloudEvent.Refuse("it has a text that is none", "write whole characters in UTF-8");
        }
    }

    private static CloudEvent ReadMembers(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw CloudEvent.Refuse("it is no object", "an event in JSON is one");
        }

        Dictionary<string, string> attributes = new(StringComparer.Ordinal);
        (string? version, string? type, JsonElement? data, byte[]? bytes) = (null, null, null, null);
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (JsonProperty member in element.EnumerateObject())
        {
            if (!seen.Add(member.Name))
            {
                throw CloudEvent.Refuse($"{Quoted.Of(member.Name)} is given twice", "give each member once");
            }

            switch (member.Name)
            {
                case "data":
                    data = member.Value;
                    break;
                case "data_base64":
                    bytes = BytesOf(member.Value);
                    break;
                default:
                    if (TextOf(member) is not { } text)
                    {
                        break;
                    }

                    if (member.Name == "specversion")
                    {
                        version = text;
                    }
                    else if (member.Name == "datacontenttype")
                    {
                        type = text;
                    }
                    else
                    {
                        attributes[member.Name] = text;
                    }

                    break;
            }
        }

        if (data is not null && bytes is not null)
        {
            throw CloudEvent.Refuse("data and data_base64 are both given", "give one of them");
        }

        return bytes is not null ? CloudEvent.Of(version, attributes, type, bytes)
            : data is { } value ? CloudEvent.Of(version, attributes, type ?? Json, DataOf(value, type))
            : CloudEvent.Of(version, attributes, type, default);
    }

    /// <summary>Null for null, which means absent.</summary>
    private static string? TextOf(JsonProperty member) => member.Value.ValueKind switch
    {
        JsonValueKind.String => member.Value.GetString(),
        JsonValueKind.Number when member.Value.TryGetInt32(out int number) =>
            number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Null => null,
        _ => throw CloudEvent.Refuse(
            $"the value of {Quoted.Of(member.Name)} is no attribute's", "expected a text, a whole number or a boolean"),
    };

    private static byte[] BytesOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes
            : throw CloudEvent.Refuse("data_base64 is no base64", "expected a text in it");

    /// <summary>A text that is not meant as JSON is what it says; everything else is JSON.</summary>
    private static byte[] DataOf(JsonElement data, string? type) =>
        data.ValueKind == JsonValueKind.String && type is not null && !IsJson(type)
            ? Encoding.UTF8.GetBytes(data.GetString()!)
            : Encoding.UTF8.GetBytes(data.GetRawText());

    private static bool IsJson(string type)
    {
        string media = type.Split(';')[0].Trim();
        return media.EndsWith("/json", StringComparison.OrdinalIgnoreCase)
            || media.EndsWith("+json", StringComparison.OrdinalIgnoreCase);
    }
}
