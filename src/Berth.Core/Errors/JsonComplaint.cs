using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Berth.Core.Errors;

/// <summary>
/// Says what is wrong with a JSON document in the document's own terms: where, and what was expected there. The
/// serializer's messages name our classes, which tells a sender nothing.
/// </summary>
public static class JsonComplaint
{
    /// <summary>Half a sentence such as <c>config.Env[0] must be a string</c>.</summary>
    /// <param name="type">What the document was read as.</param>
    public static string About(JsonException error, JsonTypeInfo type)
    {
        // The reader's own complaints are about the text, not about what it was to become.
        if (error.InnerException is JsonException || error.GetType() != typeof(JsonException) || error.Path is null)
        {
            return $"it is not well-formed JSON: {error.Message}";
        }

        string[] steps = StepsOf(error.Path);
        JsonTypeInfo? expected = type;
        foreach (string step in steps)
        {
            expected = expected is null ? null : Below(expected, step);
        }

        string where = steps.Length == 0 ? "it" : error.Path.StartsWith("$.", StringComparison.Ordinal)
            ? error.Path[2..]
            : error.Path[1..];
        return expected is null ? $"{where} is not what belongs there" : $"{where} must be {NameOf(expected)}";
    }

    /// <summary>Takes a path as the serializer writes it apart: <c>$.a[0]['b c']</c>.</summary>
    private static string[] StepsOf(string path)
    {
        List<string> steps = [];
        ReadOnlySpan<char> rest = path.AsSpan().TrimStart('$');
        while (!rest.IsEmpty)
        {
            ReadOnlySpan<char> open = rest.StartsWith("['") ? "['" : rest[..1];
            ReadOnlySpan<char> close = open switch
            {
                "['" => "']",
                "[" => "]",
                _ => "",
            };
            rest = rest[open.Length..];
            int end = close.IsEmpty ? rest.IndexOfAny('.', '[') : rest.IndexOf(close);
            end = end < 0 ? rest.Length : end;
            steps.Add(rest[..end].ToString());
            rest = rest[Math.Min(rest.Length, end + close.Length)..];
        }

        return [.. steps];
    }

    private static JsonTypeInfo? Below(JsonTypeInfo type, string step) => type.Kind switch
    {
        JsonTypeInfoKind.Object => type.Properties.FirstOrDefault(p => p.Name.Equals(
            step,
            type.Options.PropertyNameCaseInsensitive
                ? StringComparison.OrdinalIgnoreCase
                : StringComparison.Ordinal)) is { } property
            ? Find(type, property.PropertyType)
            : null,
        JsonTypeInfoKind.Enumerable or JsonTypeInfoKind.Dictionary => Find(type, type.ElementType),
        _ => null,
    };

    private static JsonTypeInfo? Find(JsonTypeInfo from, Type? type) =>
        type is not null && from.Options.TryGetTypeInfo(type, out JsonTypeInfo? found) ? found : null;

    private static string NameOf(JsonTypeInfo expected)
    {
        Type type = Nullable.GetUnderlyingType(expected.Type) ?? expected.Type;
        return expected.Kind switch
        {
            JsonTypeInfoKind.Object or JsonTypeInfoKind.Dictionary => "an object",
            JsonTypeInfoKind.Enumerable => "a list",
            _ when type.IsEnum => "one of its words",
            _ when type == typeof(bool) => "true or false",
            _ when type == typeof(DateTimeOffset) => "a time such as 2026-01-02T03:04:05Z",
            _ when type == typeof(int) || type == typeof(long) => "a whole number within its range",
            _ when type == typeof(double) || type == typeof(decimal) => "a number",
            _ => "a string",
        };
    }
}
