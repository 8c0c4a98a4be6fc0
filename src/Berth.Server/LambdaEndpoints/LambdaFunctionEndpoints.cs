using System.Globalization;
using System.Text.Json.Serialization;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.FunctionEndpoints;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.Lambda;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>What AWS's clients read of functions before they call them: ListFunctions, GetFunction and
/// GetFunctionConfiguration, of those with the lambda contract.</summary>
internal sealed class LambdaFunctionEndpoints(FunctionManager functions)
{
    private const int MaxItems = 10_000;
    private const int UsualItems = 50;

    public Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "MaxItems", "Marker", "FunctionVersion", "MasterRegion");
        int most = query.Number("MaxItems", 1, MaxItems, UsualItems);
        string? after = query.Find("Marker");
        Function[] found =
        [
            .. functions.All.Select(e => e.Record)
                .Where(f => f.Newest.Spec.Service?.Lambda is not null
                    && (after is null || string.CompareOrdinal(f.Name, after) > 0))
                .Take(most + 1),
        ];
        AwsFunctionConfiguration[] page = [.. found.Take(most).Select(f => View(f, f.Newest, null))];
        return JsonBody.WriteAsync(
            context, new AwsFunctionList(page, found.Length > most ? page[^1].FunctionName : null),
            AwsFunctionJson.Default.AwsFunctionList);
    }

    public Task GetAsync(HttpContext context)
    {
        (Function function, Revision revision, string? qualifier) = Choose(context.Request);
        RunSpec run = revision.Spec.Run;
        return JsonBody.WriteAsync(
            context,
            new AwsFunction(
                View(function, revision, qualifier),
                new AwsFunctionCode("ECR", run.Image, $"{run.Image.Split('@')[0]}@{run.Digest.Text}")),
            AwsFunctionJson.Default.AwsFunction);
    }

    public Task ConfigurationAsync(HttpContext context)
    {
        (Function function, Revision revision, string? qualifier) = Choose(context.Request);
        return JsonBody.WriteAsync(
            context, View(function, revision, qualifier), AwsFunctionJson.Default.AwsFunctionConfiguration);
    }

    /// <summary>Without a qualifier, the newest: that is what <c>$LATEST</c> means.</summary>
    private (Function Function, Revision Revision, string? Qualifier) Choose(HttpRequest request)
    {
        (string name, string? qualifier) = AwsApi.Parse((string)request.RouteValues["name"]!);
        string? asked = request.Query["Qualifier"] is [{ Length: > 0 } given] ? given : qualifier;
        if (asked is null or AwsApi.Latest)
        {
            Function function = functions.Get(name).Record;
            return (function, function.Newest, null);
        }

        (FunctionEntry entry, Revision revision) = functions.Choose(
            AwsApi.Reference(name, asked), request.HttpContext);
        return (entry.Record, revision, asked);
    }

    private static AwsFunctionConfiguration View(Function function, Revision revision, string? qualifier)
    {
        RunSpec run = revision.Spec.Run;
        string arn = LambdaEnvironment.ArnOf(function.Name);
        string handler = revision.Spec.Service?.Lambda?.Handler ?? "";
        return new AwsFunctionConfiguration(
            function.Name, qualifier is null ? arn : $"{arn}:{qualifier}", "arn:aws:iam::000000000000:role/berth",
            handler.Length > 0 ? handler : null, 0, "", (int)Math.Ceiling(run.Timeout.TotalSeconds),
            (int)(run.Limits.Memory.Bytes / (1024 * 1024)),
            revision.CreatedAt.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'+0000'", CultureInfo.InvariantCulture),
            run.Digest.Hex,
            qualifier is null ? AwsApi.Latest : revision.Number.ToString(CultureInfo.InvariantCulture), "Image",
            "Active", "Successful");
    }
}

internal sealed record AwsFunctionList(IReadOnlyList<AwsFunctionConfiguration> Functions, string? NextMarker);

internal sealed record AwsFunction(AwsFunctionConfiguration Configuration, AwsFunctionCode Code);

internal sealed record AwsFunctionCode(string RepositoryType, string ImageUri, string ResolvedImageUri);

/// <param name="Timeout">Seconds.</param>
/// <param name="MemorySize">Mebibytes.</param>
/// <param name="LastModified">ISO 8601 with a zone of <c>+0000</c>.</param>
internal sealed record AwsFunctionConfiguration(
    string FunctionName, string FunctionArn, string Role, string? Handler, long CodeSize, string Description,
    int Timeout, int MemorySize, string LastModified, string CodeSha256, string Version, string PackageType,
    string State, string LastUpdateStatus);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AwsFunctionList))]
[JsonSerializable(typeof(AwsFunction))]
internal sealed partial class AwsFunctionJson : JsonSerializerContext;
