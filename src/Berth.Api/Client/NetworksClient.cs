using Berth.Api.Networks;

namespace Berth.Api.Client;

/// <summary>Networks of the caller.</summary>
public sealed class NetworksClient
{
    private readonly ApiExchange exchange;

    internal NetworksClient(ApiExchange exchange) => this.exchange = exchange;

    public async Task<IReadOnlyList<NetworkView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/networks", NetworkJson.Default.NetworkList, cancellationToken)).Networks;

    public Task<NetworkView> GetAsync(string name, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(name), NetworkJson.Default.NetworkView, cancellationToken);

    public Task<NetworkView> CreateAsync(NetworkRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/networks", request, NetworkJson.Default.NetworkRequest, NetworkJson.Default.NetworkView,
            cancellationToken);

    public Task RemoveAsync(string name, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(name), cancellationToken);

    /// <summary>Removes those that nothing uses; says which.</summary>
    public async Task<IReadOnlyList<string>> PruneAsync(CancellationToken cancellationToken) =>
        (await exchange.PostAsync(
            "v1/networks/prune", NetworkJson.Default.NetworkPruneResult, cancellationToken)).Networks;

    private static string PathOf(string name) => "v1/networks/" + Uri.EscapeDataString(name);
}
