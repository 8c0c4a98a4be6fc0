using System.Globalization;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Functions;

namespace Berth.Api.Client;

/// <summary>Functions: named images with settings, in revisions.</summary>
public sealed class FunctionsClient
{
    private readonly ApiExchange exchange;
    private readonly RunsClient runs;

    internal FunctionsClient(ApiExchange exchange, RunsClient runs)
    {
        this.exchange = exchange;
        this.runs = runs;
    }

    public async Task<IReadOnlyList<FunctionView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/functions", FunctionJson.Default.FunctionList, cancellationToken)).Functions;

    public Task<FunctionView> GetAsync(string name, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(name), FunctionJson.Default.FunctionView, cancellationToken);

    /// <summary>Makes the function, or its next revision where the settings differ from the newest one's.</summary>
    public Task<FunctionDeployment> DeployAsync(
        string name, FunctionRequest request, CancellationToken cancellationToken) => exchange.PutAsync(
        PathOf(name), request, FunctionJson.Default.FunctionRequest, FunctionJson.Default.FunctionDeployment,
        cancellationToken);

    /// <summary>What <see cref="DeployAsync"/> would lead to.</summary>
    public Task<FunctionPlan> PlanAsync(
        string name, FunctionRequest request, CancellationToken cancellationToken) => exchange.PostAsync(
        "v1/plans/" + Checked(name), request, FunctionJson.Default.FunctionRequest, FunctionJson.Default.FunctionPlan,
        cancellationToken);

    public Task RemoveAsync(string name, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(name), cancellationToken);

    /// <summary>Newest first.</summary>
    public async Task<IReadOnlyList<RevisionView>> RevisionsAsync(string name, CancellationToken cancellationToken) =>
        (await exchange.GetAsync(
            "v1/revisions/" + Checked(name), FunctionJson.Default.RevisionList, cancellationToken))
        .Revisions;

    /// <summary>Splits its calls another way.</summary>
    public Task<FunctionView> RouteAsync(string name, TrafficView traffic, CancellationToken cancellationToken) =>
        exchange.PutAsync(
            "v1/traffic/" + Checked(name), traffic, FunctionJson.Default.TrafficView,
            FunctionJson.Default.FunctionView, cancellationToken);

    /// <summary>Changes how many instances there are.</summary>
    public Task<FunctionView> ScaleAsync(string name, ScaleRequest request, CancellationToken cancellationToken) =>
        exchange.PutAsync(
            "v1/scale/" + Checked(name), request, FunctionJson.Default.ScaleRequest,
            FunctionJson.Default.FunctionView, cancellationToken);

    /// <summary>Opens what its programs wrote, each line behind the id of its run. The caller disposes it.</summary>
    /// <param name="revision">Of this one alone; null for all.</param>
    public async Task<Stream> OpenLogsAsync(
        string name, int? revision, LogOptions options, CancellationToken cancellationToken)
    {
        string path = "v1/logs/" + Checked(name) + Query.Of(
            ("follow", options.Follow ? "true" : null),
            ("tail", options.Tail?.ToString(CultureInfo.InvariantCulture)),
            ("since", options.Since?.ToString("O", CultureInfo.InvariantCulture)),
            ("timestamps", options.Timestamps ? "true" : null),
            ("revision", revision?.ToString(CultureInfo.InvariantCulture)));
        HttpResponseMessage response = await exchange.SendSafelyAsync(
            () => new HttpRequestMessage(HttpMethod.Get, exchange.UriOf(path)), cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }

    /// <param name="revision">The one that gets all calls; null for the split before the last change.</param>
    public Task<FunctionView> RollBackAsync(string name, int? revision, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            $"v1/traffic/{Checked(name)}/rollback", new RollbackRequest(revision),
            FunctionJson.Default.RollbackRequest, FunctionJson.Default.FunctionView, cancellationToken);

    /// <summary>As <see cref="RunsClient.CallAsync"/>.</summary>
    /// <param name="name"><c>NAME</c>, <c>NAME@REVISION</c> or <c>NAME@TAG</c>.</param>
    public Task<Call> CallAsync(
        string name, RunOptions options, Stream? input, CancellationToken cancellationToken) =>
        runs.CallAtAsync(PathOf(name), options, input, cancellationToken);

    /// <summary>As <see cref="RunsClient.SubmitAsync"/>.</summary>
    /// <param name="name">As in <see cref="CallAsync"/>.</param>
    public Task<RunView> SubmitAsync(
        string name, RunOptions options, Stream? input, CancellationToken cancellationToken) =>
        runs.SubmitAtAsync("async-function/" + Checked(name), options, input, cancellationToken);

    private static string PathOf(string name) => "v1/functions/" + Checked(name);

    /// <summary>No name can lead to another address.</summary>
    private static string Checked(string name)
    {
        int at = name.IndexOf('@', StringComparison.Ordinal);
        FunctionName.Check(at < 0 ? name : name[..at], "function");
        return Uri.EscapeDataString(name);
    }
}
