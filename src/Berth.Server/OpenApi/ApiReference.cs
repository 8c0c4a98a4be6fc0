using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Berth.Server.OpenApi;

/// <summary>Writes docs/reference/api.md from the OpenAPI document.</summary>
public static class ApiReference
{
    private static readonly JsonWriterOptions Indented =
        new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Markdown()
    {
        JsonObject document = OpenApiDocument.Make();
        StringBuilder page = new(
            $"""
            # HTTP interface

            Generated from the document that a server tells at `/openapi/v1.json`.

            {document["info"]!["description"]}

            Errors are told by [code](errors.md). Sizes are written such as `256Mi` or `1.5Gi`, lengths of time such
            as `500ms`, `60s`, `5m` or `1h30m`.

            """);
        foreach (JsonNode? tag in document["tags"]!.AsArray())
        {
            page.Append($"\n## {tag!["name"]}\n\n{tag["description"]}\n");
            foreach ((string path, JsonNode? item) in document["paths"]!.AsObject())
            {
                foreach ((string method, JsonNode? operation) in item!.AsObject())
                {
                    if (operation is JsonObject body && TextOf(body["tags"]?[0]) == TextOf(tag["name"]))
                    {
                        AppendOperation(page, document, $"{method.ToUpperInvariant()} {path}", item.AsObject(), body);
                    }
                }
            }
        }

        AppendOptionHeaders(page, document);
        AppendSchemas(page, document["components"]!["schemas"]!.AsObject());
        return page.ToString();
    }

    private static void AppendOperation(
        StringBuilder page, JsonObject document, string name, JsonObject item, JsonObject operation)
    {
        page.Append($"\n### {name}\n\n{operation["summary"]}.");
        page.Append(operation["description"] is { } more ? $" {more}\n" : "\n");
        page.Append(operation[OpenApiTables.AllowedRoles] is JsonArray roles
            ? $"\nRoles: {string.Join(", ", roles.Select(r => $"`{r}`"))}.\n"
            : operation["security"] is JsonArray { Count: 0 } ? "\nNo token is needed.\n" : "");
        if (operation["externalDocs"]?["url"] is { } link)
        {
            page.Append($"\nSee {link}.\n");
        }

        AppendParameters(page, document, item, operation);
        AppendSample(page, operation);
        if (operation["requestBody"]?["content"] is JsonObject content)
        {
            (string type, JsonNode? media) = content.First();
            string what = TextOf(operation["requestBody"]!["description"]) is { } text ? " " + text : "";
            page.Append($"\nBody: {Kind(type, media)}.{what}\n");
            AppendJson(page, media?["example"]);
        }

        AppendResponses(page, operation);
    }

    private static void AppendParameters(StringBuilder page, JsonObject document, JsonObject item, JsonObject operation)
    {
        List<JsonObject> all = [.. new[] { item["parameters"], operation["parameters"] }
            .SelectMany(list => list?.AsArray() ?? [])
            .Select(p => Resolve(document, p!.AsObject()))];
        JsonObject[] own = [.. all.Where(p => !IsOption(p))];
        if (own.Length > 0)
        {
            page.Append("\n| Parameter | In | Value | Meaning |\n|---|---|---|---|\n");
            foreach (JsonObject p in own)
            {
                page.Append($"| `{p["name"]}` | {p["in"]} | {TypeOf(p["schema"])} | {p["description"]} |\n");
            }
        }

        if (all.Exists(IsOption))
        {
            page.Append("\nTakes the [option headers](#option-headers).\n");
        }
    }

    private static void AppendSample(StringBuilder page, JsonObject operation)
    {
        foreach (JsonNode? sample in operation["x-codeSamples"]?.AsArray() ?? [])
        {
            page.Append($"\n```sh\n{sample!["source"]}\n```\n");
        }
    }

    private static void AppendResponses(StringBuilder page, JsonObject operation)
    {
        page.Append("\n| Status | Answer | Headers |\n|---|---|---|\n");
        JsonNode? example = null;
        foreach ((string status, JsonNode? response) in operation["responses"]!.AsObject())
        {
            KeyValuePair<string, JsonNode?>? media = response!["content"]?.AsObject().First();
            bool refusal = media?.Key == "application/problem+json";
            string kind = media is { } known && !refusal ? Kind(known.Key, known.Value) + ". " : "";
            string headers = string.Join(", ", response["headers"]?.AsObject().Select(h => $"`{h.Key}`") ?? []);
            page.Append($"| {status} | {kind}{response["description"]} | {headers} |\n");
            example ??= refusal ? null : media?.Value?["example"];
        }

        AppendJson(page, example);
    }

    private static void AppendOptionHeaders(StringBuilder page, JsonObject document)
    {
        page.Append("\n## Option headers\n\n");
        page.Append("How a run is to be done. A header that is not known, or can't be used, is refused.\n");
        page.Append("\n| Header | Example | Meaning |\n|---|---|---|\n");
        IEnumerable<JsonObject> parameters =
            document["components"]!["parameters"]!.AsObject().Select(p => p.Value!.AsObject());
        foreach (JsonObject p in parameters.Where(IsOption))
        {
            page.Append($"| `{p["name"]}` | `{p["example"]}` | {p["description"]} |\n");
        }
    }

    private static void AppendSchemas(StringBuilder page, JsonObject schemas)
    {
        page.Append("\n## Schemas\n");
        foreach ((string name, JsonNode? schema) in schemas)
        {
            page.Append($"\n### {name}\n\n{schema!["description"]}\n");
            if (schema["enum"] is JsonArray values)
            {
                page.Append($"\nOne of {string.Join(", ", values.Select(v => $"`{v}`"))}.\n");
                continue;
            }

            HashSet<string> required = [.. schema["required"]?.AsArray().Select(r => TextOf(r)!) ?? []];
            page.Append("\n| Member | Value | Always there | Meaning |\n|---|---|---|---|\n");
            foreach ((string member, JsonNode? property) in schema["properties"]!.AsObject())
            {
                string always = required.Contains(member) ? "yes" : "";
                page.Append($"| `{member}` | {TypeOf(property)} | {always} | {property!["description"]} |\n");
            }
        }
    }

    private static void AppendJson(StringBuilder page, JsonNode? example)
    {
        if (example is not (JsonObject or JsonArray))
        {
            return;
        }

        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, Indented))
        {
            example.WriteTo(writer);
        }

        page.Append($"\n```json\n{Encoding.UTF8.GetString(stream.ToArray())}\n```\n");
    }

    // What belongs to a run and not to one route: told once for all.
    private static bool IsOption(JsonObject parameter) => TextOf(parameter["in"]) == "header"
        && TextOf(parameter["name"]) is { } name
        && (name.StartsWith("Berth-", StringComparison.Ordinal)
            || name is "Idempotency-Key" or "Prefer" or "traceparent");

    private static JsonObject Resolve(JsonObject document, JsonObject node) => TextOf(node["$ref"]) is { } reference
        ? reference.Split('/').Skip(1).Aggregate((JsonNode)document, (at, name) => at[name]!).AsObject()
        : node;

    private static string Kind(string mediaType, JsonNode? media) =>
        TextOf(media?["schema"]?["$ref"]) is { } reference ? $"{Link(reference)} as `{mediaType}`" : $"`{mediaType}`";

    private static string TypeOf(JsonNode? schema)
    {
        if (TextOf(schema?["$ref"]) is { } reference)
        {
            return Link(reference);
        }

        string type = TextOf(schema?["type"]) ?? "any";
        return type switch
        {
            "array" => "array of " + TypeOf(schema!["items"]),
            "object" when schema!["additionalProperties"] is { } values => "object of " + TypeOf(values),
            _ when schema!["enum"] is JsonArray { Count: < 8 } values =>
                string.Join(", ", values.Select(v => $"`{v}`")),
            _ when TextOf(schema!["format"]) is { } format => format,
            _ => type,
        };
    }

    private static string Link(string reference)
    {
        string name = reference[(reference.LastIndexOf('/') + 1)..];
        return $"[{name}](#{name.ToLowerInvariant()})";
    }

    private static string? TextOf(JsonNode? node) => node?.GetValue<string>();
}
