using System.Net.Http.Headers;
using System.Text.Json;
using Berth.Api.Secrets;
using Berth.Core.Errors;
using Berth.Core.Secrets;

namespace Berth.Api.Client;

/// <summary>Secrets of the server: values go in, and only their names come out.</summary>
public sealed class SecretsClient
{
    private readonly ApiExchange exchange;

    internal SecretsClient(ApiExchange exchange) => this.exchange = exchange;

    public async Task<IReadOnlyList<SecretView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/secrets", SecretJson.Default.SecretList, cancellationToken)).Secrets;

    public Task<SecretView> GetAsync(string name, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(name), SecretJson.Default.SecretView, cancellationToken);

    /// <param name="replace">Also where the name has a value.</param>
    public async Task<SecretView> PutAsync(
        string name, ReadOnlyMemory<byte> value, bool replace, CancellationToken cancellationToken)
    {
        ReadOnlyMemoryContent content = new(value);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using HttpRequestMessage request = new(
            HttpMethod.Put, exchange.UriOf(PathOf(name) + (replace ? "?replace=true" : "")))
        {
            Content = content,
        };
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return JsonSerializer.Deserialize(body, SecretJson.Default.SecretView)
            ?? throw new BerthException(ErrorCode.Upstream, "The server answered with nothing.");
    }

    /// <param name="force">Also where functions use it.</param>
    public Task RemoveAsync(string name, bool force, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(PathOf(name) + (force ? "?force=true" : ""), cancellationToken);

    private static string PathOf(string name) => "v1/secrets/" + SecretName.Check(name);
}
