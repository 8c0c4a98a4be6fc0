using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Berth.Server.Hosting;

/// <summary>JSON as people read it: an apostrophe stays one. It is never embedded in a page, so that nothing but JSON's
/// own rules asks for escapes; every answer says that its media type is not to be guessed.</summary>
internal static class JsonText
{
    private static readonly JsonWriterOptions Readable =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ReadOnlyMemory<byte> Of<T>(T value, JsonTypeInfo<T> type)
    {
        ArrayBufferWriter<byte> bytes = new();
        using Utf8JsonWriter writer = new(bytes, Readable);
        JsonSerializer.Serialize(writer, value, type);
        return bytes.WrittenMemory;
    }
}
