using System.Globalization;
using System.Text.Json.Nodes;
using Berth.Api.Errors;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Server.LambdaEndpoints;

namespace Berth.Server.OpenApi;

/// <summary>
/// Adds to the OpenAPI document what stands in tables of the program: who may use a route (<see cref="AccessTable"/>),
/// and for each code of an operation's <c>x-errors</c> the response that <see cref="ErrorCatalog"/> says.
/// </summary>
internal static class OpenApiTables
{
    /// <summary>Codes of an operation's refusals, beside those that every operation has.</summary>
    public const string Errors = "x-errors";

    /// <summary>Roles that may use an operation; absent where no token is needed.</summary>
    public const string AllowedRoles = "x-roles";

    public static void Complete(JsonObject document)
    {
        JsonArray codes = document["components"]!["schemas"]!["Problem"]!["properties"]!["code"]!["enum"]!.AsArray();
        foreach (ErrorEntry entry in ErrorCatalog.All)
        {
            codes.Add(entry.Code);
        }

        foreach ((string path, JsonNode? item) in document["paths"]!.AsObject())
        {
            IEnumerable<KeyValuePair<string, JsonNode?>> operations =
                item!.AsObject().Where(p => p.Key is "get" or "post" or "put" or "patch" or "delete");
            foreach ((string method, JsonNode? operation) in operations)
            {
                Complete(operation!.AsObject(), AccessTable.All.FirstOrDefault(
                    r => r.Method.Equals(method, StringComparison.OrdinalIgnoreCase) && PathOf(r.Pattern) == path));
            }
        }
    }

    /// <summary>A route's pattern as OpenAPI writes it: <c>{**reference}</c> is <c>{reference}</c>.</summary>
    public static string PathOf(string pattern) => pattern.Replace("{**", "{", StringComparison.Ordinal);

    private static void Complete(JsonObject operation, AccessRow? row)
    {
        List<string> codes = [.. operation[Errors]?.AsArray().Select(c => c!.GetValue<string>()) ?? []];
        if (row is null)
        {
            // The registry decides by itself and refuses in the form of its own specification.
        }
        else if (row.Permission == Permission.Open)
        {
            operation["security"] = new JsonArray();
        }
        else
        {
            operation[AllowedRoles] = new JsonArray(
            [
                .. Enum.GetValues<Role>()
                    .Where(r => Roles.May(r, row.Permission)).Select(r => (JsonNode)Roles.NameOf(r)),
            ]);
            // AWS's clients are refused in a form of their own.
            codes.AddRange(AwsApi.IsPattern(row.Pattern) ? [] : ["unauthorized", "forbidden", "internal"]);
        }

        operation.Remove(Errors);
        JsonObject responses = operation["responses"]!.AsObject();
        IEnumerable<IGrouping<int, ErrorEntry>> byStatus =
            codes.Distinct().Select(Known).GroupBy(e => e.Status).OrderBy(g => g.Key);
        foreach (IGrouping<int, ErrorEntry> status in byStatus)
        {
            responses[status.Key.ToString(CultureInfo.InvariantCulture)] = Refusal(status.Key, [.. status]);
        }
    }

    private static ErrorEntry Known(string code) => ErrorCatalog.All.FirstOrDefault(e => e.Code == code)
        ?? throw new InvalidOperationException(
            $"The OpenAPI document names the error '{code}', which is not in the catalogue.");

    private static JsonObject Refusal(int status, IReadOnlyList<ErrorEntry> entries)
    {
        JsonObject examples = [];
        foreach (ErrorEntry entry in entries)
        {
            examples[entry.Code] = new JsonObject { ["value"] = Example(entry) };
        }

        JsonObject refusal = new()
        {
            ["description"] = string.Join(" ", entries.Select(e => $"`{e.Code}`: {e.Title}.")),
            ["content"] = new JsonObject
            {
                ["application/problem+json"] = new JsonObject
                {
                    ["schema"] = new JsonObject { ["$ref"] = "#/components/schemas/Problem" },
                    ["examples"] = examples,
                },
            },
        };
        string? header = status switch { 401 => "WWW-Authenticate", 429 or 503 => "Retry-After", _ => null };
        if (header is not null)
        {
            refusal["headers"] = new JsonObject
            {
                [header] = new JsonObject { ["$ref"] = $"#/components/headers/{header}" },
            };
        }

        return refusal;
    }

    private static JsonObject Example(ErrorEntry entry)
    {
        JsonObject problem = new()
        {
            ["type"] = "urn:berth:error:" + entry.Code,
            ["title"] = entry.Title,
            ["status"] = entry.Status,
            ["detail"] = ErrorExplanations.Find(entry.Error).Example,
            ["code"] = entry.Code,
        };
        if (entry.Error is ErrorCode.RunFailed)
        {
            problem["runId"] = "01ks7ydpbahqpz5vhqmyx0ezmt";
            problem["exitCode"] = 3;
            problem["stderr"] = "photo.jpg: not a JPEG file\n";
            problem["usage"] = new JsonObject
            {
                ["cpuUserMs"] = 1.4,
                ["cpuSystemMs"] = 2.1,
                ["peakMemoryBytes"] = 1_163_264,
                ["bytesIn"] = 11,
                ["bytesOut"] = 0,
            };
        }

        return problem;
    }
}
