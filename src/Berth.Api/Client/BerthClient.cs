using Berth.Api.Access;
using Berth.Api.Nodes;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>
/// The .NET SDK of Berth, and what the command line itself is built on. One instance serves a whole program, from any
/// thread. Refusals arrive as BerthException with the server's code; a server that can't be reached is
/// <c>ErrorCode.Upstream</c>. Requests without effect are tried again after a broken connection, others never unless
/// they carry an idempotency key.
/// </summary>
public sealed class BerthClient : IDisposable
{
    private readonly ApiExchange exchange;

    /// <param name="address">Where the server listens, for instance <c>http://127.0.0.1:7070</c>.</param>
    /// <param name="token">Sent as a bearer token; null for the few requests that need none.</param>
    /// <param name="time">Clock for waits between tries.</param>
    public BerthClient(Uri address, string? token, TimeProvider time)
    {
        exchange = new ApiExchange(address, token, time, handler: null);
        Runs = new RunsClient(exchange);
        Images = new ImagesClient(exchange);
        Repositories = new RepositoriesClient(exchange);
        Tokens = new TokensClient(exchange);
        Containers = new ContainersClient(exchange);
        Volumes = new VolumesClient(exchange);
        Functions = new FunctionsClient(exchange, Runs);
        Rollouts = new RolloutsClient(exchange);
        Secrets = new SecretsClient(exchange);
        Triggers = new TriggersClient(exchange);
        Nodes = new NodesClient(exchange);
        Networks = new NetworksClient(exchange);
    }

    /// <summary>Uses <paramref name="handler"/> instead of the network for everything but synchronous calls and
    /// submissions; for tests.</summary>
    public BerthClient(Uri address, string? token, TimeProvider time, HttpMessageHandler handler)
    {
        exchange = new ApiExchange(address, token, time, handler);
        Runs = new RunsClient(exchange);
        Images = new ImagesClient(exchange);
        Repositories = new RepositoriesClient(exchange);
        Tokens = new TokensClient(exchange);
        Containers = new ContainersClient(exchange);
        Volumes = new VolumesClient(exchange);
        Functions = new FunctionsClient(exchange, Runs);
        Rollouts = new RolloutsClient(exchange);
        Secrets = new SecretsClient(exchange);
        Triggers = new TriggersClient(exchange);
        Nodes = new NodesClient(exchange);
        Networks = new NetworksClient(exchange);
    }

    public Uri Address => exchange.Address;

    public RunsClient Runs { get; }

    public ImagesClient Images { get; }

    public RepositoriesClient Repositories { get; }

    public TokensClient Tokens { get; }

    public ContainersClient Containers { get; }

    public VolumesClient Volumes { get; }

    public FunctionsClient Functions { get; }

    public RolloutsClient Rollouts { get; }

    public SecretsClient Secrets { get; }

    public TriggersClient Triggers { get; }

    public NodesClient Nodes { get; }

    public NetworksClient Networks { get; }

    public Task<VersionView> VersionAsync(CancellationToken cancellationToken) =>
        exchange.GetAsync("v1/version", NodeJson.Default.VersionView, cancellationToken);

    public Task<NodeView> NodeAsync(CancellationToken cancellationToken) =>
        exchange.GetAsync("v1/node", NodeJson.Default.NodeView, cancellationToken);

    /// <summary>The sandboxes that exist now.</summary>
    public async Task<IReadOnlyList<SandboxLine>> SandboxesAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/sandboxes", NodeJson.Default.SandboxList, cancellationToken)).Sandboxes;

    /// <summary>Copies all that the server keeps to <paramref name="output"/>, as a tar archive; throws
    /// <c>Upstream</c> when it breaks off. Returns its size.</summary>
    /// <param name="progress">Gets the number of bytes copied so far.</param>
    public async Task<long> BackupAsync(Stream output, Action<long> progress, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await exchange.OpenAsync(
            new HttpRequestMessage(HttpMethod.Get, exchange.UriOf("v1/backup")), cancellationToken);
        await using Stream input = await response.Content.ReadAsStreamAsync(cancellationToken);
        byte[] buffer = new byte[256 * 1024];
        long bytes = 0;
        while (await ReadAsync(input, buffer, cancellationToken) is > 0 and int read)
        {
            await output.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            bytes += read;
            progress(bytes);
        }

        return bytes;
    }

    public void Dispose() => exchange.Dispose();

    private static async Task<int> ReadAsync(Stream input, byte[] buffer, CancellationToken cancellationToken)
    {
        try
        {
            return await input.ReadAsync(buffer, cancellationToken);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            throw new BerthException(ErrorCode.Upstream, $"The server's answer broke off: {e.Message}", e);
        }
    }
}

/// <summary>Makes, lists and removes tokens; needs an administrator's.</summary>
public sealed class TokensClient
{
    private readonly ApiExchange exchange;

    internal TokensClient(ApiExchange exchange) => this.exchange = exchange;

    public Task<TokenCreated> CreateAsync(TokenRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/tokens", request, AccessJson.Default.TokenRequest, AccessJson.Default.TokenCreated, cancellationToken);

    public async Task<IReadOnlyList<TokenView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/tokens", AccessJson.Default.TokenList, cancellationToken)).Tokens;

    public Task RemoveAsync(string id, CancellationToken cancellationToken) =>
        exchange.DeleteAsync("v1/tokens/" + Uri.EscapeDataString(id), cancellationToken);
}
