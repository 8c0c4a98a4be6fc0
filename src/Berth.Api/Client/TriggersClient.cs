using Berth.Api.Triggers;
using Berth.Core.Functions;

namespace Berth.Api.Client;

/// <summary>Triggers: what calls functions by itself.</summary>
public sealed class TriggersClient
{
    private readonly ApiExchange exchange;

    internal TriggersClient(ApiExchange exchange) => this.exchange = exchange;

    public async Task<IReadOnlyList<TriggerView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/triggers", TriggerJson.Default.TriggerList, cancellationToken)).Triggers;

    public Task<TriggerView> GetAsync(string name, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(name), TriggerJson.Default.TriggerView, cancellationToken);

    /// <summary>Makes it, or gives it other settings.</summary>
    public Task<TriggerView> PutAsync(string name, TriggerRequest request, CancellationToken cancellationToken) =>
        exchange.PutAsync(
            PathOf(name), request, TriggerJson.Default.TriggerRequest, TriggerJson.Default.TriggerView,
            cancellationToken);

    /// <summary>What <see cref="PutAsync"/> would lead to. The function need not be there yet.</summary>
    public Task<TriggerPlan> PlanAsync(string name, TriggerRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            PathOf(name) + "/plan", request, TriggerJson.Default.TriggerRequest, TriggerJson.Default.TriggerPlan,
            cancellationToken);

    public Task RemoveAsync(string name, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(name), cancellationToken);

    public Task<TriggerView> PauseAsync(string name, CancellationToken cancellationToken) =>
        PostAsync(name, "pause", cancellationToken);

    public Task<TriggerView> ResumeAsync(string name, CancellationToken cancellationToken) =>
        PostAsync(name, "resume", cancellationToken);

    /// <summary>Once, now.</summary>
    public Task<FiringView> FireAsync(string name, CancellationToken cancellationToken) => exchange.PostAsync(
        PathOf(name) + "/fire", new TriggerRequest(), TriggerJson.Default.TriggerRequest,
        TriggerJson.Default.FiringView, cancellationToken);

    private Task<TriggerView> PostAsync(string name, string verb, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            $"{PathOf(name)}/{verb}", new TriggerRequest(), TriggerJson.Default.TriggerRequest,
            TriggerJson.Default.TriggerView, cancellationToken);

    private static string PathOf(string name) => "v1/triggers/" + FunctionName.Check(name, "trigger");
}
