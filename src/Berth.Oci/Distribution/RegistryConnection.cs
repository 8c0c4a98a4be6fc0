using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Images;

namespace Berth.Oci.Distribution;

/// <summary>
/// A registry somewhere (OCI distribution specification 1.1), with the credentials for it. Gives its repositories as
/// origins and targets of copies. Disposing it closes its connections.
/// </summary>
public sealed class RegistryConnection : IDisposable
{
    private readonly RegistryCredentials? credentials;
    private readonly TimeProvider time;
    private readonly SocketsHttpHandler transport;
    private readonly List<HttpClient> clients = [];

    /// <param name="address">Scheme, host and port; <c>/v2/</c> is below it.</param>
    /// <param name="credentials">Null for anonymous use.</param>
    /// <param name="connect">Decides which addresses may be connected to; null allows all.</param>
    public RegistryConnection(
        Uri address, RegistryCredentials? credentials, TimeProvider time,
        Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? connect = null)
    {
        Address = address;
        this.credentials = credentials;
        this.time = time;
        transport = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            ConnectCallback = connect,
        };
    }

    public Uri Address { get; }

    /// <summary>
    /// Where a reference's registry is: https unless <paramref name="insecure"/>; <c>docker.io</c> is Docker Hub. Null
    /// for a reference without a host.
    /// </summary>
    public static Uri? AddressOf(ImageReference reference, bool insecure) => reference.RegistryHost switch
    {
        null => null,
        "docker.io" or "index.docker.io" => new Uri("https://registry-1.docker.io/"),
        string host => new Uri($"{(insecure ? "http" : "https")}://{host}/"),
    };

    /// <summary>The repository that a reference names; Docker Hub keeps short names under <c>library/</c>.</summary>
    public RegistryRepository Repository(ImageReference reference) => Repository(
        reference.RegistryHost is "docker.io" or "index.docker.io"
            && !reference.Repository.Contains('/', StringComparison.Ordinal)
            ? "library/" + reference.Repository
            : reference.Repository);

    /// <summary>One repository, with its own token.</summary>
    /// <param name="mountFrom">A repository of the same registry that blobs may be taken from, on the registry's side,
    /// instead of being sent.</param>
    public RegistryRepository Repository(string name, string? mountFrom = null)
    {
        string? alsoScope = mountFrom is null ? null : $"repository:{mountFrom}:pull";
        var authorization = new RegistryAuthorization(Address, credentials, time, transport, alsoScope);
        var client = new HttpClient(new RegistryRedirects(authorization), disposeHandler: false)
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        client.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("berth", "1"));
        clients.Add(client);
        return new RegistryRepository(client, Address, name, time) { MountFrom = mountFrom };
    }

    public void Dispose()
    {
        clients.ForEach(c => c.Dispose());
        transport.Dispose();
    }
}
