using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Berth.Core.Errors;
using Berth.Server.Nodes;
using Berth.Server.Store;

namespace Berth.Server.Cluster;

/// <summary>
/// The ways to the other servers' addresses for nodes: TLS and HTTP/2, both sides with certificates of the one
/// authority that say which server they are of. An address that leads to another server than the store says leads
/// nowhere.
/// </summary>
internal sealed class PeerDoors : IDisposable
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    /// <summary>Between signs of life of a connection that is waited on; as many for their answer.</summary>
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(5);

    private readonly PeerDirectory directory;
    private readonly NodeAuthority authority;
    private readonly TimeProvider time;
    private readonly X509Certificate2 certificate;
    private readonly ConcurrentDictionary<(string Server, string Address), HttpClient> clients = new();

    /// <param name="self">This server, as its certificate says.</param>
    public PeerDoors(PeerDirectory directory, NodeAuthority authority, string self, TimeProvider time)
    {
        this.directory = directory;
        this.authority = authority;
        this.time = time;
        certificate = authority.MakeServer(self);
    }

    /// <summary>The answer to a request, its head read and its body not. Throws <c>ServerUnreachable</c> where the
    /// server is not there, <c>NotFound</c> where it has not what was asked for.</summary>
    public Task<HttpResponseMessage> GetAsync(string server, string path, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Get, server, path, cancellationToken);

    /// <summary>The same for what changes something there.</summary>
    public Task<HttpResponseMessage> PostAsync(string server, string path, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, server, path, cancellationToken);

    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string server, string path, CancellationToken cancellationToken)
    {
        ServerBeat? peer = directory.Find(server);
        if (peer is not { Address.Length: > 0 })
        {
            throw Unreachable(peer, server, null);
        }

        using CancellationTokenSource limit = new(AnswerLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            using HttpRequestMessage request = new(method, path)
            {
                Version = HttpVersion.Version20,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            HttpResponseMessage response = await ClientOf(peer).SendAsync(
                request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                throw response.StatusCode == HttpStatusCode.NotFound
                    ? new BerthException(ErrorCode.NotFound, $"The server '{peer.Name}' does not have it any more.")
                    : Unreachable(peer, server, new HttpRequestException($"it answered {(int)response.StatusCode}"));
            }
        }
        catch (Exception error) when (
            error is HttpRequestException or IOException
            || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw Unreachable(peer, server, error);
        }
    }

    public void Dispose()
    {
        foreach (HttpClient client in clients.Values)
        {
            client.Dispose();
        }

        certificate.Dispose();
    }

    /// <summary>What only another server has can't be had just now.</summary>
    public static BerthException Unreachable(ServerBeat? peer, string server, Exception? cause) => new(
        ErrorCode.ServerUnreachable,
        $"It is at the server '{peer?.Name ?? server}', which {WhyNot(peer, cause)}: try again when that one is back.",
        cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    /// <summary>Why a server can't be asked, as words after its name.</summary>
    public static string WhyNot(ServerBeat? peer, Exception? cause) => peer switch
    {
        null => "is not known here",
        { Address.Length: 0 } => "listens for no other server (node-listen)",
        { IsGone: true } when cause is null => "is gone",
        _ => $"can't be reached at {peer.Address} ({cause?.GetBaseException().Message.TrimEnd('.')})",
    };

    private HttpClient ClientOf(ServerBeat peer) => clients.GetOrAdd(
        (peer.Id, peer.Address), static (key, doors) => doors.Connect(key.Server, key.Address), this);

    private HttpClient Connect(string server, string address) => new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
        ConnectTimeout = ConnectLimit,
        EnableMultipleHttp2Connections = true,
        InitialHttp2StreamWindowSize = 1024 * 1024,
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        KeepAlivePingDelay = PingInterval,
        KeepAlivePingTimeout = PingInterval,
        SslOptions = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            ClientCertificates = [certificate],
            LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate,
            RemoteCertificateValidationCallback = (_, presented, _, _) =>
                presented is X509Certificate2 shown && authority.ServerOf(shown) == server,
        },
    })
    {
        BaseAddress = new Uri(address),
        Timeout = Timeout.InfiniteTimeSpan,
    };
}
