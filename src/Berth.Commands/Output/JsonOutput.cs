using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Commands.Terminals;

namespace Berth.Commands.Output;

/// <summary>
/// Writes what <c>-o json</c> asks for: indented, the server's own member names, one document to a command.
/// </summary>
internal static class JsonOutput
{
    public static JsonWriterOptions Options { get; } = new()
    {
        Indented = true,
        NewLine = "\n",
        // The text goes to a terminal or a file, never into HTML.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static void Write<T>(Terminal terminal, T value, JsonTypeInfo<T> type)
    {
        using (Utf8JsonWriter writer = new(terminal.Output, Options))
        {
            JsonSerializer.Serialize(writer, value, type);
        }

        terminal.Output.WriteByte((byte)'\n');
    }

    /// <summary>An array, written as its elements arrive.</summary>
    public static async Task WriteAsync<T>(
        Terminal terminal, IAsyncEnumerable<T> values, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        await using (Utf8JsonWriter writer = new(terminal.Output, Options))
        {
            writer.WriteStartArray();
            await foreach (T value in values.WithCancellation(cancellationToken))
            {
                JsonSerializer.Serialize(writer, value, type);
                await writer.FlushAsync(cancellationToken);
            }

            writer.WriteEndArray();
        }

        terminal.Output.WriteByte((byte)'\n');
    }

    /// <summary>One value on one line, for streams that have no end.</summary>
    public static void WriteLine<T>(Terminal terminal, T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(terminal.Output, value, type);
        terminal.Output.WriteByte((byte)'\n');
        terminal.Output.Flush();
    }
}
