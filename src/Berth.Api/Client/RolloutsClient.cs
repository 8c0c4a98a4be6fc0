using System.Text.Json;
using Berth.Api.Rollouts;
using Berth.Core.Errors;
using Berth.Core.Functions;

namespace Berth.Api.Client;

/// <summary>Rollouts: how revisions of functions get their calls little by little.</summary>
public sealed class RolloutsClient
{
    private readonly ApiExchange exchange;

    internal RolloutsClient(ApiExchange exchange) => this.exchange = exchange;

    /// <summary>The newest rollout of a function, under way or ended.</summary>
    public Task<RolloutView> GetAsync(string function, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(function), RolloutJson.Default.RolloutView, cancellationToken);

    /// <summary>Begins one. One under way for another revision or by another plan is given up for it.</summary>
    public Task<RolloutView> StartAsync(
        string function, RolloutRequest request, CancellationToken cancellationToken) => exchange.PutAsync(
        PathOf(function), request, RolloutJson.Default.RolloutRequest, RolloutJson.Default.RolloutView,
        cancellationToken);

    /// <summary>Calls go where they went before.</summary>
    public Task AbortAsync(string function, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(function), cancellationToken);

    /// <summary>The revision gets all calls now.</summary>
    public Task<RolloutView> PromoteAsync(string function, CancellationToken cancellationToken) =>
        StepAsync(function, "promote", cancellationToken);

    /// <summary>It stays at its step.</summary>
    public Task<RolloutView> PauseAsync(string function, CancellationToken cancellationToken) =>
        StepAsync(function, "pause", cancellationToken);

    /// <summary>Its step begins anew.</summary>
    public Task<RolloutView> ResumeAsync(string function, CancellationToken cancellationToken) =>
        StepAsync(function, "resume", cancellationToken);

    private async Task<RolloutView> StepAsync(string function, string step, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, exchange.UriOf($"{PathOf(function)}/{step}"));
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return JsonSerializer.Deserialize(body, RolloutJson.Default.RolloutView)
            ?? throw new BerthException(ErrorCode.Upstream, "The server answered with nothing.");
    }

    private static string PathOf(string function) => "v1/rollouts/" + FunctionName.Check(function, "function");
}
