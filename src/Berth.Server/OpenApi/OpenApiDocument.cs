using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.OpenApi;

/// <summary>
/// The description of the HTTP interface, <c>/openapi/v1.json</c>. The parts beside this file are written by hand: what
/// a generator can't know (streams, option headers, trailers, examples) is most of it. What the program's own tables
/// know is added by <see cref="OpenApiTables"/>. Tests compare the whole with routes, options and JSON contracts.
/// </summary>
public static class OpenApiDocument
{
    // The order of the parts is the order of the document and of its reference page.
    private static readonly string[] Parts =
    [
        "document", "options", "calls", "runs", "functions", "scaling", "lambda", "rollouts", "secrets", "triggers",
        "containers", "networks",
        "images", "repositories", "machine", "tokens", "registry",
    ];

    private static readonly Lazy<byte[]> Written =
        new(() => JsonSerializer.SerializeToUtf8Bytes(Make(), OpenApiJson.Default.JsonObject));

    /// <summary>The document as UTF-8. Made when first asked for: no start of a server waits for it.</summary>
    public static ReadOnlyMemory<byte> Bytes => Written.Value;

    internal static async Task HandleAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Bytes.Length;
        await context.Response.Body.WriteAsync(Bytes, context.RequestAborted);
    }

    internal static JsonObject Make()
    {
        JsonObject document = [];
        foreach (string part in Parts)
        {
            Merge(document, Read(part));
        }

        OpenApiTables.Complete(document);
        return document;
    }

    private static JsonObject Read(string part)
    {
        using Stream stream = typeof(OpenApiDocument).Assembly.GetManifestResourceStream("Berth.Server.OpenApi." + part)
            ?? throw new InvalidOperationException($"OpenApi/{part}.json is not embedded.");
        return JsonNode.Parse(stream) as JsonObject
            ?? throw new InvalidOperationException($"OpenApi/{part}.json is no object.");
    }

    private static void Merge(JsonObject into, JsonObject from)
    {
        foreach ((string name, JsonNode? value) in from)
        {
            if (into[name] is JsonObject there && value is JsonObject more)
            {
                Merge(there, more);
            }
            else if (!into.TryAdd(name, value?.DeepClone()))
            {
                throw new InvalidOperationException($"Two parts of the OpenAPI document say what '{name}' is.");
            }
        }
    }
}
