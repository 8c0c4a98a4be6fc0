using System.Text.Json;

namespace Berth.Node.Runtimes;

/// <summary>The messages a runtime wrote to its --log in JSON: one after the other, with or without line
/// ends.</summary>
internal static class RuntimeLog
{
    private const int MaxBytes = 64 * 1024;

    /// <summary>Null where there is none; the last value may be cut off where the runtime was killed.</summary>
    public static string? LastMessage(string path)
    {
        if (!File.Exists(path) || new FileInfo(path).Length > MaxBytes)
        {
            return null;
        }

        string? last = null;
        try
        {
            Utf8JsonReader reader = new(File.ReadAllBytes(path), new JsonReaderOptions { AllowMultipleValues = true });
            while (reader.Read())
            {
                using JsonDocument entry = JsonDocument.ParseValue(ref reader);
                last = MessageOf(entry.RootElement) ?? last;
            }
        }
        catch (JsonException)
        {
            // What could be read counts.
        }

        return last;
    }

    private static string? MessageOf(JsonElement entry) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty("msg", out JsonElement message)
            && message.ValueKind == JsonValueKind.String ? message.GetString() : null;
}
