using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Server.Hosting;

namespace Berth.Server.Lambda;

/// <summary>Errors in the form that AWS Lambda gives them: an object with errorMessage and errorType.</summary>
internal static class FunctionError
{
    private const int MaxShown = 500;

    /// <param name="type">As a header of the runtime told it; empty where it did not.</param>
    /// <param name="document">What the runtime sent: passed on where it is an object, else told in one.</param>
    public static LambdaAnswer.Failed Of(string type, ReadOnlyMemory<byte> document)
    {
        ErrorDocument? read = Read(document);
        string kind = read?.ErrorType is { Length: > 0 } own ? own : type.Length > 0 ? type : "Runtime.Unknown";
        string message = read?.ErrorMessage ?? "The runtime told nothing more.";
        return new LambdaAnswer.Failed(Shown(kind), Shown(message), read is null ? Write(kind, message) : document);
    }

    public static LambdaAnswer.Failed Of(string type, string message) => new(type, message, Write(type, message));

    public static ReadOnlyMemory<byte> Write(string type, string message) =>
        JsonText.Of(new ErrorDocument(message, type), ErrorDocumentJson.Default.ErrorDocument);

    private static ErrorDocument? Read(ReadOnlyMemory<byte> document)
    {
        try
        {
            return JsonSerializer.Deserialize(document.Span, ErrorDocumentJson.Default.ErrorDocument);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Shown(string text) => text.Length > MaxShown ? text[..MaxShown] + "…" : text;
}

internal sealed record ErrorDocument(string? ErrorMessage, string? ErrorType);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ErrorDocument))]
internal sealed partial class ErrorDocumentJson : JsonSerializerContext;
