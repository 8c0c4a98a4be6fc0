using System.Text.Json.Serialization;
using Berth.Core.Functions;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.Instances;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>What OpenFaaS's command line and its like read of a gateway: the functions, and what the gateway is.
/// </summary>
internal sealed class OpenFaasEndpoints(
    FunctionManager functions, InstanceManager instances, RevisionMeters meters)
{
    /// <summary>It sends parameters that mean nothing here, such as <c>namespace</c>.</summary>
    public Task ListAsync(HttpContext context) => JsonBody.WriteAsync(
        context, [.. functions.All.Select(e => View(e.Record))], OpenFaasJson.Default.OpenFaasFunctionArray);

    public Task GetAsync(HttpContext context) => JsonBody.WriteAsync(
        context, View(functions.Get((string)context.Request.RouteValues["name"]!).Record),
        OpenFaasJson.Default.OpenFaasFunction);

    public Task InfoAsync(HttpContext context) => JsonBody.WriteAsync(
        context,
        new OpenFaasInfo(
            "x86_64", new OpenFaasProvider("berth", "berth", new OpenFaasVersion(ServerVersion.Text, "")),
            new OpenFaasVersion(ServerVersion.Text, "")),
        OpenFaasJson.Default.OpenFaasInfo);

    private OpenFaasFunction View(Function function)
    {
        FunctionSpec newest = function.Newest.Spec;
        // A function whose calls are programs is always there, so that none of its tools waits for it.
        int replicas = newest.Service is null
            ? 1
            : function.Revisions.Sum(r => instances.Find(function.Name, r.Number)?.Figures().Ready ?? 0);
        long calls = meters.Sum(function.Name, function.Revisions.Select(r => r.Number)).Calls;
        return new OpenFaasFunction(
            function.Name, newest.Run.Image, "", calls, replicas, replicas, "", newest.Run.Labels,
            new Dictionary<string, string>(), function.CreatedAt);
    }
}

internal sealed record OpenFaasFunction(
    string Name, string Image, string Namespace, long InvocationCount, int Replicas, int AvailableReplicas,
    string EnvProcess, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, string> Annotations,
    DateTimeOffset CreatedAt);

internal sealed record OpenFaasInfo(string Arch, OpenFaasProvider Provider, OpenFaasVersion Version);

internal sealed record OpenFaasProvider(string Provider, string Orchestration, OpenFaasVersion Version);

internal sealed record OpenFaasVersion(string Release, string Sha);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(OpenFaasFunction[]))]
[JsonSerializable(typeof(OpenFaasInfo))]
internal sealed partial class OpenFaasJson : JsonSerializerContext;
