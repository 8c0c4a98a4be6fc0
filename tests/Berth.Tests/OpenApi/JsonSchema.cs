using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Berth.Tests.OpenApi;

/// <summary>As much of JSON Schema as the OpenAPI document uses: a keyword it doesn't know is a failure, so nothing is
/// checked by omission. Members that a schema doesn't name are refused: examples show what there is.</summary>
internal static class JsonSchema
{
    private static readonly string[] Known =
        ["type", "description", "required", "properties", "additionalProperties", "items", "enum", "format", "default",
            "minimum", "maximum", "minLength", "maxLength"];

    /// <summary>What is wrong with a value; empty when it is valid.</summary>
    public static IEnumerable<string> Violations(JsonNode document, JsonNode schema, JsonNode? value, string at)
    {
        if (schema["$ref"] is { } reference)
        {
            return Violations(document, Resolve(document, reference.GetValue<string>()), value, at);
        }

        JsonObject keywords = schema.AsObject();
        IEnumerable<string> unknown =
            keywords.Select(k => k.Key).Except(Known).Select(k => $"{at}: keyword {k} is not known");
        return unknown.Concat(OfType(keywords, value, at)).Concat(OfValue(keywords, value, at))
            .Concat(OfMembers(document, keywords, value as JsonObject, at))
            .Concat((value as JsonArray ?? []).SelectMany(
                (item, index) =>
                    keywords["items"] is { } items ? Violations(document, items, item, $"{at}[{index}]") : []));
    }

    public static JsonNode Resolve(JsonNode document, string reference) =>
        reference.Split('/').Skip(1).Aggregate(
            document, (node, name) => node[name] ?? throw new InvalidOperationException($"{reference} leads nowhere."));

    private static IEnumerable<string> OfType(JsonObject schema, JsonNode? value, string at)
    {
        bool valid = schema["type"]?.GetValue<string>() switch
        {
            null => true,
            "object" => value is JsonObject,
            "array" => value is JsonArray,
            "string" => value?.GetValueKind() == JsonValueKind.String,
            "boolean" => value?.GetValueKind() is JsonValueKind.True or JsonValueKind.False,
            "number" => value?.GetValueKind() == JsonValueKind.Number,
            "integer" => value?.GetValueKind() == JsonValueKind.Number
                && long.TryParse(
                    value.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _),
            { } other => throw new InvalidOperationException($"{at}: type {other} is not known"),
        };
        return valid ? [] : [$"{at}: {value?.ToJsonString() ?? "null"} is no {schema["type"]}"];
    }

    private static IEnumerable<string> OfValue(JsonObject schema, JsonNode? value, string at)
    {
        if (schema["enum"] is JsonArray allowed && !allowed.Any(a => JsonNode.DeepEquals(a, value)))
        {
            yield return $"{at}: {value} is not among {allowed.ToJsonString()}";
        }

        if (value?.GetValueKind() == JsonValueKind.Number
            && (value.GetValue<double>() < schema["minimum"]?.GetValue<double>()
                || value.GetValue<double>() > schema["maximum"]?.GetValue<double>()))
        {
            yield return $"{at}: {value} lies outside";
        }

        string? text = value?.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;
        if (text?.Length < schema["minLength"]?.GetValue<int>() || text?.Length > schema["maxLength"]?.GetValue<int>())
        {
            yield return $"{at}: '{text}' is too short or too long";
        }

        bool formed = (schema["format"]?.GetValue<string>(), text) switch
        {
            (null, _) => true,
            ("date-time", { } time) => DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, out _),
            ("uri", { } uri) => Uri.IsWellFormedUriString(uri, UriKind.Absolute),
            _ => false,
        };
        if (!formed)
        {
            yield return $"{at}: '{text}' is no {schema["format"]}";
        }
    }

    private static IEnumerable<string> OfMembers(JsonNode document, JsonObject schema, JsonObject? value, string at)
    {
        if (value is null || schema["type"]?.GetValue<string>() != "object"
            || (schema["properties"] ?? schema["additionalProperties"]) is null)
        {
            yield break;
        }

        IEnumerable<string> required = (schema["required"] as JsonArray ?? []).Select(r => r!.GetValue<string>());
        foreach (string name in required.Where(r => !value.ContainsKey(r)))
        {
            yield return $"{at}: {name} is missing";
        }

        foreach ((string name, JsonNode? member) in value)
        {
            JsonNode? of = schema["properties"]?[name] ?? schema["additionalProperties"];
            IEnumerable<string> violations = of is null
                ? [$"{at}: {name} is not in the schema"]
                : Violations(document, of, member, $"{at}.{name}");
            foreach (string violation in violations)
            {
                yield return violation;
            }
        }
    }
}
