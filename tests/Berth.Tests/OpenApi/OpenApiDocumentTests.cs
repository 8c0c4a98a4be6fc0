using System.Text.Json.Nodes;
using Berth.Api.Errors;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.OpenApi;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.OpenApi;

/// <summary>The description of the HTTP interface says what the program does: by enumeration of both.</summary>
public sealed class OpenApiDocumentTests
{
    private static readonly JsonNode Document = JsonNode.Parse(OpenApiDocument.Bytes.Span)!;

    [Fact]
    public void Every_route_is_described_and_every_description_has_a_route()
    {
        IEnumerable<string> described = Operations()
            .Where(o => o.Path != "/v2/{path}")
            .Select(o => $"{o.Method} {o.Path}");
        IEnumerable<string> routed = AccessTable.All.Select(
            r => $"{r.Method.ToLowerInvariant()} {OpenApiTables.PathOf(r.Pattern)}");

        Assert.Equal(routed.Order(), described.Order());
    }

    [Fact]
    public async Task A_server_tells_it()
    {
        await using ServerRig rig = await ServerRig.StartAsync();

        byte[] told = await rig.Client.GetByteArrayAsync("/openapi/v1.json", TestContext.Current.CancellationToken);

        Assert.Equal(OpenApiDocument.Bytes.ToArray(), told);
        Assert.Equal("3.1.0", Document["openapi"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("/v1/call/{reference}")]
    [InlineData("/v1/tasks/{reference}")]
    public void Every_option_header_is_described(string path)
    {
        IEnumerable<string> described = Document["paths"]![path]!["parameters"]!.AsArray()
            .Select(p => JsonSchema.Resolve(Document, p!["$ref"]!.GetValue<string>())["name"]!.GetValue<string>());

        IEnumerable<string> others = path.Contains("/tasks/", StringComparison.Ordinal) ? [OptionHeaders.Stream] : [];
        Assert.Empty(
            OptionHeaders.All.Except(others).Append(OptionHeaders.IdempotencyKey).Append("Prefer").Except(described));
        Assert.Empty(described
            .Where(n => n.StartsWith(OptionHeaders.Prefix, StringComparison.Ordinal)).Except(OptionHeaders.All));
    }

    [Fact]
    public void The_headers_of_an_answered_run_are_described()
    {
        string[] names = [RunAnswer.RunId, .. RunAnswer.TrailerNames.Split(", ")];

        foreach (string path in (string[])["/v1/call/{reference}", "/v1/tasks/{reference}"])
        {
            JsonNode answer = Document["paths"]![path]!["post"]!["responses"]!["200"]!;
            Assert.Equal(names.Order(), answer["headers"]!.AsObject().Select(h => h.Key).Order());
        }
    }

    [Fact]
    public void Every_error_is_listed_and_explained()
    {
        IEnumerable<string> listed = Document["components"]!["schemas"]!["Problem"]!["properties"]!["code"]!["enum"]!
            .AsArray().Select(c => c!.GetValue<string>());

        Assert.Equal(ErrorCatalog.All.Select(e => e.Code), listed);
        Assert.Equal(Enum.GetValues<ErrorCode>().Order(), ErrorCatalog.All.Select(e => e.Error).Order());
        Assert.All(ErrorCatalog.All, e => Assert.NotEmpty(ErrorExplanations.Find(e.Error).Remedy));
    }

    [Fact]
    public void Every_example_is_valid()
    {
        List<string> wrong = [];
        int checkedExamples = 0;
        foreach ((JsonNode schema, JsonNode? example, string at) in Examples(Document, "#"))
        {
            checkedExamples++;
            wrong.AddRange(JsonSchema.Violations(Document, schema, example, at));
        }

        Assert.Empty(wrong);
        Assert.True(checkedExamples > 100, $"Only {checkedExamples} examples were found.");
    }

    [Fact]
    public void Every_answer_and_body_in_JSON_has_a_schema_and_an_example()
    {
        var bare =
            from node in Nodes(Document, "#")
            where node.At.EndsWith(".application/json", StringComparison.Ordinal)
                && !node.At.Contains("/openapi/v1.json")
            where node.Value["schema"]?["$ref"] is null || node.Value["example"] is null
            select node.At;

        Assert.Empty(bare);
    }

    [Fact]
    public void Every_reference_leads_somewhere_and_everything_is_referred_to()
    {
        HashSet<string> used =
            [.. Nodes(Document, "#").Select(n => n.Value["$ref"]?.GetValue<string>()).OfType<string>()];
        IEnumerable<string> made =
            from kind in Document["components"]!.AsObject()
            where kind.Key != "securitySchemes"
            from entry in kind.Value!.AsObject()
            select $"#/components/{kind.Key}/{entry.Key}";

        Assert.All(used, reference => JsonSchema.Resolve(Document, reference));
        Assert.Empty(made.Except(used));
    }

    [Fact]
    public void Every_operation_has_its_own_name_a_summary_and_a_known_tag()
    {
        HashSet<string> tags = [.. Document["tags"]!.AsArray().Select(t => t!["name"]!.GetValue<string>())];

        IEnumerable<string> ids = Operations().Select(o => o.Body["operationId"]!.GetValue<string>());
        Assert.Equal(Operations().Count(), ids.Distinct().Count());
        Assert.All(Operations(), o => Assert.Contains(o.Body["tags"]![0]!.GetValue<string>(), tags));
        Assert.All(Operations(), o => Assert.False(o.Body["summary"]!.GetValue<string>().EndsWith('.'), o.Path));
    }

    private static IEnumerable<(string Method, string Path, JsonObject Body)> Operations() =>
        from path in Document["paths"]!.AsObject()
        from operation in path.Value!.AsObject()
        where operation.Key != "parameters"
        select (operation.Key, path.Key, operation.Value!.AsObject());

    /// <summary>Every object of the document with its place.</summary>
    private static IEnumerable<(JsonObject Value, string At)> Nodes(JsonNode? node, string at) => node switch
    {
        JsonObject value => value
            .SelectMany(p => p.Key is "example" or "examples" ? [] : Nodes(p.Value, $"{at}.{p.Key}"))
            .Prepend((value, at)),
        JsonArray list => list.SelectMany((item, index) => Nodes(item, $"{at}[{index}]")),
        _ => [],
    };

    private static IEnumerable<(JsonNode Schema, JsonNode? Example, string At)> Examples(JsonNode document, string at)
    {
        foreach ((JsonObject value, string place) in Nodes(document, at).Where(n => n.Value["schema"] is JsonObject))
        {
            JsonNode schema = value["schema"]!;
            if (value.TryGetPropertyValue("example", out JsonNode? example))
            {
                yield return (schema, example, place);
            }

            foreach ((string name, JsonNode? named) in value["examples"]?.AsObject() ?? [])
            {
                yield return (schema, named!["value"], $"{place}.{name}");
            }
        }
    }
}
