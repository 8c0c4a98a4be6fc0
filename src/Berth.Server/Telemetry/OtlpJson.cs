using System.Globalization;
using System.Text.Json;
using Berth.Server.Hosting;

namespace Berth.Server.Telemetry;

/// <summary>
/// What all messages of OTLP have in common, in its JSON encoding: 64-bit integers are strings, ids hexadecimal
/// (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").
/// </summary>
internal static class OtlpJson
{
    private const long NanosecondsPerTick = 100;

    /// <summary>Opens the message down to the list of what it carries; disposing closes it.</summary>
    public static IDisposable Begin(Utf8JsonWriter json, string resources, string scopes, string things, string node)
    {
        json.WriteStartObject();
        json.WriteStartArray(resources);
        json.WriteStartObject();
        json.WriteStartObject("resource");
        json.WriteStartArray("attributes");
        Attribute(json, "service.name", "berth");
        Attribute(json, "service.version", ServerVersion.Text);
        Attribute(json, "service.instance.id", node);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteStartArray(scopes);
        json.WriteStartObject();
        json.WriteStartObject("scope");
        json.WriteString("name", "berth");
        json.WriteString("version", ServerVersion.Text);
        json.WriteEndObject();
        json.WriteStartArray(things);
        return new Closing(json);
    }

    public static void Attribute(Utf8JsonWriter json, string key, string value)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("stringValue", value);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static void Attribute(Utf8JsonWriter json, string key, long value)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("intValue", value.ToString(CultureInfo.InvariantCulture));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static string Nanoseconds(DateTimeOffset time) =>
        ((time - DateTimeOffset.UnixEpoch).Ticks * NanosecondsPerTick).ToString(CultureInfo.InvariantCulture);

    private sealed class Closing(Utf8JsonWriter json) : IDisposable
    {
        public void Dispose()
        {
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.Flush();
        }
    }
}
