using Berth.Api.Nodes;

namespace Berth.Api.Client;

/// <summary>The machines that run work for the server.</summary>
public sealed class NodesClient
{
    private readonly ApiExchange exchange;

    internal NodesClient(ApiExchange exchange) => this.exchange = exchange;

    public async Task<IReadOnlyList<MachineView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/nodes", NodeJson.Default.MachineList, cancellationToken)).Nodes;

    public Task<MachineView> GetAsync(string name, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(name), NodeJson.Default.MachineView, cancellationToken);

    /// <param name="expiresIn">Such as 1h; null for the server's own choice.</param>
    public Task<JoinTokenCreated> CreateTokenAsync(string? expiresIn, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/node-tokens", new JoinTokenRequest(expiresIn), NodeJson.Default.JoinTokenRequest,
            NodeJson.Default.JoinTokenCreated, cancellationToken);

    public async Task<IReadOnlyList<JoinTokenView>> TokensAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/node-tokens", NodeJson.Default.JoinTokenList, cancellationToken)).Tokens;

    /// <summary>Takes a token back.</summary>
    public Task RemoveTokenAsync(string id, CancellationToken cancellationToken) =>
        exchange.DeleteAsync("v1/node-tokens/" + Uri.EscapeDataString(id), cancellationToken);

    /// <summary>It gets nothing new.</summary>
    public Task<MachineView> CordonAsync(string name, CancellationToken cancellationToken) =>
        StepAsync(name, "cordon", cancellationToken);

    public Task<MachineView> UncordonAsync(string name, CancellationToken cancellationToken) =>
        StepAsync(name, "uncordon", cancellationToken);

    /// <summary>It gets nothing new, and containers that can be elsewhere are started there.</summary>
    public async Task<MachineDrain> DrainAsync(string name, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, exchange.UriOf($"{PathOf(name)}/drain"));
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        return System.Text.Json.JsonSerializer.Deserialize(
            await response.Content.ReadAsByteArrayAsync(cancellationToken), NodeJson.Default.MachineDrain)
            ?? throw Nothing();
    }

    /// <summary>It gets nothing new, and what it has ends: tasks begin anew elsewhere.</summary>
    public Task<MachineView> EvictAsync(string name, CancellationToken cancellationToken) =>
        StepAsync(name, "evict", cancellationToken);

    public async Task<MachineView> PatchAsync(string name, NodePatch patch, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = exchange.PostOf(PathOf(name), patch, NodeJson.Default.NodePatch);
        request.Method = HttpMethod.Patch;
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        return await ReadAsync(response, cancellationToken);
    }

    public Task RemoveAsync(string name, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(name), cancellationToken);

    private static string PathOf(string name) => "v1/nodes/" + Uri.EscapeDataString(name);

    private async Task<MachineView> StepAsync(string name, string step, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, exchange.UriOf($"{PathOf(name)}/{step}"));
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        return await ReadAsync(response, cancellationToken);
    }

    private static async Task<MachineView> ReadAsync(
        HttpResponseMessage response, CancellationToken cancellationToken) =>
        System.Text.Json.JsonSerializer.Deserialize(
            await response.Content.ReadAsByteArrayAsync(cancellationToken), NodeJson.Default.MachineView)
        ?? throw Nothing();

    private static Core.Errors.BerthException Nothing() => new(
        Core.Errors.ErrorCode.Upstream, "The server answered with nothing.");
}
