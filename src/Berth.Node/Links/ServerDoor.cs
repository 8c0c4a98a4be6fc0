using System.Net;
using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Node.Linux;
using Berth.Oci.Images;

namespace Berth.Node.Links;

/// <summary>
/// The way to the server's address for nodes, always by TLS: requests of this node's own (joining, certificates,
/// content), and the connection that becomes its link.
/// </summary>
public sealed class ServerDoor : IBlobOrigin, IDisposable
{
    private const int MaxAnswer = 1024 * 1024;

    /// <summary>Of TLS's negotiation, where this machine asks.</summary>
    private const string Requests = "h2";

    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(30);

    private readonly HttpClient http;
    private readonly Uri server;
    private readonly NodeIdentity? identity;
    private readonly TimeProvider time;
    private IReadOnlyList<string> offers = LinkProtocol.Offers;

    /// <param name="identity">Null before it has joined.</param>
    /// <param name="isServer">Whether a certificate is the server's.</param>
    private ServerDoor(
        Uri server, NodeIdentity? identity, Func<X509Certificate2, bool> isServer, TimeProvider time)
    {
        this.server = server;
        this.identity = identity;
        this.time = time;
        http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            ConnectTimeout = ConnectLimit,
            SslOptions = Options(server, identity, isServer, Requests),
        })
        {
            BaseAddress = server,
            Timeout = Timeout.InfiniteTimeSpan,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
    }

    /// <summary>The address from which the server was reached last; null before.</summary>
    public IPAddress? LocalAddress { get; private set; }

    /// <summary>The door of a node that has joined.</summary>
    /// <param name="offers">Protocols for a link, the best first; null for all.</param>
    public static ServerDoor Of(
        Uri server, NodeIdentity identity, TimeProvider time, IReadOnlyList<string>? offers = null) =>
        new(server, identity, c => NodeIdentity.IsServer(c, identity.Authority, time.GetUtcNow()), time)
        {
            offers = offers ?? LinkProtocol.Offers,
        };

    /// <summary>Reads an address such as <c>https://berth.example:7071</c>; throws <c>InvalidRequest</c>.</summary>
    public static Uri Parse(string text) =>
        Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : "https://" + text, UriKind.Absolute,
            out Uri? address) && address is { Scheme: "https", PathAndQuery: "/", UserInfo: "" }
            ? address
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(text)}' is no address to join: write the server's --node-listen such as "
                + "https://berth.example:7071.");

    /// <summary>
    /// Joins: first only the authority's certificate is read, from whoever answers; its fingerprint must be the
    /// token's. Then all is said to nobody but a holder of a certificate of that authority. Throws BerthException.
    /// </summary>
    public static async Task<NodeIdentity> JoinAsync(
        Uri server, string tokenText, string name, IReadOnlyDictionary<string, string> labels, string folder,
        TimeProvider time, CancellationToken cancellationToken)
    {
        if (!JoinToken.TryParse(tokenText, out JoinToken token))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "The token is none for joining: 'berth node token create' on the server prints one.");
        }

        string pem;
        using (ServerDoor any = new(server, null, static _ => true, time))
        {
            pem = await any.GetTextAsync(LinkProtocol.AuthorityPath, cancellationToken);
        }

        using X509Certificate2 authority = Read(pem, server);
        if (!CryptographicOperations.FixedTimeEquals(
            SHA256.HashData(authority.RawData), Convert.FromHexString(token.Fingerprint)))
        {
            throw new BerthException(
                ErrorCode.Unauthorized,
                $"Who answers at {server.Authority} is not the server that the token is of: look at the address, and "
                + "whether the token is of that server. The token was not sent.");
        }

        using ServerDoor door = new(
            server, null, c => NodeIdentity.IsServer(c, authority, time.GetUtcNow()), time);
        (ECDsa key, string request) = NodeIdentity.NewRequest(name);
        using (key)
        {
            CertificateAnswer answer = await door.PostAsync(
                LinkProtocol.JoinPath, new JoinRequest(tokenText, name, request, time.GetUtcNow(), labels),
                LinkJson.Default.JoinRequest, LinkJson.Default.CertificateAnswer, cancellationToken);
            // Interrupted in between, the machine has not joined: then that is done again.
            FormerVolumes.SetAside(folder, time);
            return NodeIdentity.Save(folder, key, answer.Certificate, authority.ExportCertificatePem());
        }
    }

    /// <summary>Another certificate for another key.</summary>
    public async Task<NodeIdentity> RenewAsync(string folder, CancellationToken cancellationToken)
    {
        NodeIdentity present = identity ?? throw new InvalidOperationException("Nothing to renew.");
        (ECDsa key, string request) = NodeIdentity.NewRequest(present.Name);
        using (key)
        {
            CertificateAnswer answer = await PostAsync(
                LinkProtocol.RenewPath, new RenewRequest(request), LinkJson.Default.RenewRequest,
                LinkJson.Default.CertificateAnswer, cancellationToken);
            return NodeIdentity.Save(
                folder, key, answer.Certificate, present.Authority.ExportCertificatePem());
        }
    }

    /// <summary>Content by digest; not verified. Throws <c>BlobUnknown</c>, <c>Upstream</c>.</summary>
    public async Task<Stream> OpenBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await SendAsync(
            new HttpRequestMessage(HttpMethod.Get, LinkProtocol.BlobPath + digest), cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }

    /// <summary>Which nodes offer the layers of an image. Throws BerthException.</summary>
    public async Task<NeighbourList> NeighboursAsync(Digest image, CancellationToken cancellationToken) =>
        await GetAsync(LinkProtocol.NeighboursPath + image, LinkJson.Default.NeighbourList, cancellationToken);

    /// <summary>Whether the node of that name has the certificate of that SHA-256. Throws BerthException.</summary>
    public async Task<bool> HasCertificateAsync(string node, string hash, CancellationToken cancellationToken)
    {
        try
        {
            await GetTextAsync(
                $"{LinkProtocol.CertificatesPath}{Uri.EscapeDataString(node)}/{hash}", cancellationToken);
            return true;
        }
        catch (BerthException unknown) when (unknown.Code == ErrorCode.NotFound)
        {
            return false;
        }
    }

    /// <summary>Makes the connection for a link. Throws BerthException (<c>Upstream</c>).</summary>
    /// <param name="poller">In whose threads what comes is taken.</param>
    public async Task<SslStream> DialAsync(ReadinessPoller poller, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(ConnectLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        PolledSocket? socket = null;
        try
        {
            IPAddress[] addresses = await Dns.GetHostAddressesAsync(server.IdnHost, either.Token);
            socket = await PolledSocket.ConnectAsync(
                [.. addresses.Select(a => new IPEndPoint(a, server.Port))], poller, either.Token);
            LocalAddress = (socket.LocalEndPoint as IPEndPoint)?.Address;
            SslStream tls = new(socket);
            await tls.AuthenticateAsClientAsync(
                Options(
                    server, identity, c => NodeIdentity.IsServer(c, identity!.Authority, time.GetUtcNow()),
                    offers),
                either.Token);
            return tls;
        }
        catch (Exception error)
        {
            await (socket?.DisposeAsync() ?? ValueTask.CompletedTask);
            if (error is OperationCanceledException && cancellationToken.IsCancellationRequested)
            {
                throw;
            }

            throw Unreachable(error);
        }
    }

    /// <summary>Which server is at the other end, as its certificate says.</summary>
    public static string NameOf(SslStream connection) => (connection.RemoteCertificate as X509Certificate2)
        ?.GetNameInfo(X509NameType.SimpleName, forIssuer: false) ?? "";

    /// <summary>Whether the server knows of streams of the link's own; else they are HTTP/2's.</summary>
    public static bool IsMultiplexed(SslStream connection) =>
        connection.NegotiatedApplicationProtocol == new SslApplicationProtocol(LinkProtocol.NegotiatedStreams);

    public void Dispose() => http.Dispose();

    private static SslClientAuthenticationOptions Options(
        Uri server, NodeIdentity? identity, Func<X509Certificate2, bool> isServer,
        params IReadOnlyList<string> protocols) =>
        new()
        {
            TargetHost = server.IdnHost,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ApplicationProtocols = [.. protocols.Select(p => new SslApplicationProtocol(p))],
            ClientCertificates = identity is null ? null : [identity.Certificate],
            LocalCertificateSelectionCallback = identity is null
                ? null
                : (_, _, _, _, _) => identity.Certificate,
            RemoteCertificateValidationCallback = (_, presented, _, _) =>
                presented is X509Certificate2 certificate && isServer(certificate),
        };

    private static X509Certificate2 Read(string pem, Uri server)
    {
        try
        {
            return X509Certificate2.CreateFromPem(pem);
        }
        catch (CryptographicException error)
        {
            throw new BerthException(
                ErrorCode.Upstream,
                $"What answers at {server.Authority} is no server that nodes join: its --node-listen is another "
                + "address.", error);
        }
    }

    private async Task<string> GetTextAsync(string path, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            new HttpRequestMessage(HttpMethod.Get, path), cancellationToken);
        return System.Text.Encoding.ASCII.GetString(await ReadAsync(response, cancellationToken));
    }

    private async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(
            new HttpRequestMessage(HttpMethod.Get, path), cancellationToken);
        try
        {
            return JsonSerializer.Deserialize(await ReadAsync(response, cancellationToken), type)
                ?? throw new JsonException("Nothing came.");
        }
        catch (Exception broken) when (broken is JsonException or HttpRequestException or IOException)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"The server {server.Authority} answered what can't be read.", broken);
        }
    }

    private async Task<TOut> PostAsync<TIn, TOut>(
        string path, TIn body, JsonTypeInfo<TIn> bodyType, JsonTypeInfo<TOut> type, CancellationToken cancellationToken)
    {
        ByteArrayContent content = new(JsonSerializer.SerializeToUtf8Bytes(body, bodyType));
        content.Headers.ContentType = new System.Net.Http.Headers.MediaTypeHeaderValue("application/json");
        using HttpResponseMessage response = await SendAsync(
            new HttpRequestMessage(HttpMethod.Post, path) { Content = content }, cancellationToken);
        return JsonSerializer.Deserialize(await ReadAsync(response, cancellationToken), type)
            ?? throw new BerthException(ErrorCode.Upstream, $"The server {server.Authority} answered with nothing.");
    }

    private async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Version = HttpVersion.Version20;
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
        using CancellationTokenSource limit = new(AnswerLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            HttpResponseMessage response = await http.SendAsync(
                request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                throw Refusal(await ReadAsync(response, either.Token), (int)response.StatusCode);
            }
        }
        catch (Exception error) when (
            error is HttpRequestException or IOException
            || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw Unreachable(error);
        }
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        await response.Content.LoadIntoBufferAsync(MaxAnswer, cancellationToken);
        return await response.Content.ReadAsByteArrayAsync(cancellationToken);
    }

    private BerthException Refusal(byte[] body, int status)
    {
        try
        {
            if (JsonSerializer.Deserialize(body, LinkJson.Default.RefusalReport) is { Code: not null } refusal)
            {
                return new BerthException(ErrorCatalog.Find(refusal.Code).Error, refusal.Message);
            }
        }
        catch (JsonException)
        {
            // None of Berth's words.
        }

        return new BerthException(ErrorCode.Upstream, $"The server {server.Authority} answered {status}.");
    }

    private BerthException Unreachable(Exception error) => new(
        ErrorCode.Upstream,
        error.GetBaseException() is AuthenticationException
            ? $"Who answers at {server.Authority} is not the server that this node has joined, or does not take this "
            + "node's certificate any more."
            : $"There is no answer from {server.Authority}: {Reason(error.GetBaseException()).TrimEnd('.')}. Look at "
            + "the address, and whether the server listens there with --node-listen.",
        error);

    private static string Reason(Exception error) =>
        error is LinuxException call ? Marshal.GetPInvokeErrorMessage(call.Errno) : error.Message;
}
