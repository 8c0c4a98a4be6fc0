using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Links;
using Berth.Core.Images;
using Berth.Node.Links;
using Berth.Oci.Images;

namespace Berth.Node.Neighbours;

/// <summary>
/// Another node that offers its layers, as this one sees it. It is known by the fingerprint that a server told, and
/// nothing that comes from it is believed: who reads counts and hashes, here is seen to that it comes soon.
/// </summary>
internal sealed class Neighbour : INeighbour
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(2);

    /// <summary>From the question to the answer's head, with the connection.</summary>
    private static readonly TimeSpan HeadLimit = TimeSpan.FromSeconds(5);

    private readonly HttpClient http;
    private readonly TimeProvider time;
    private readonly Action<Digest, string> distrust;

    /// <param name="offer">One that can be read.</param>
    /// <param name="identity">Shown to it.</param>
    /// <param name="distrust">Told what it gave that is of no use.</param>
    public Neighbour(LayerOffer offer, NodeIdentity identity, TimeProvider time, Action<Digest, string> distrust)
    {
        this.time = time;
        this.distrust = distrust;
        byte[] fingerprint = Convert.FromHexString(offer.Fingerprint);
        X509Certificate2 own = identity.Certificate;
        http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            ConnectTimeout = ConnectLimit,
            MaxResponseHeadersLength = 8,
            // What is left of an answer that was given up is not read.
            ResponseDrainTimeout = TimeSpan.Zero,
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                ClientCertificates = [own],
                LocalCertificateSelectionCallback = (_, _, _, _, _) => own,
                RemoteCertificateValidationCallback = (_, presented, _, _) => presented is X509Certificate2 shown
                    && CryptographicOperations.FixedTimeEquals(SHA256.HashData(shown.RawData), fingerprint),
            },
        })
        {
            BaseAddress = new Uri("https://" + offer.Read()),
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    public async Task<Stream?> TryOpenAsync(Digest layer, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(HeadLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            HttpResponseMessage response = await http.GetAsync(
                LinkProtocol.BlobPath + layer, HttpCompletionOption.ResponseHeadersRead, either.Token);
            if (response.StatusCode == HttpStatusCode.OK)
            {
                return new PacedStream(await response.Content.ReadAsStreamAsync(cancellationToken), response, time);
            }

            // It is busy, or has it no more, or has not heard yet of this node.
            response.Dispose();
            return null;
        }
        catch (OperationCanceledException late) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"It did not answer within {HeadLimit.TotalSeconds:0} s.", late);
        }
        catch (HttpRequestException error) when (error.GetBaseException() is AuthenticationException)
        {
            throw new IOException("Its certificate is not the one that the server told.", error);
        }
    }

    public void Distrust(Digest layer, string reason) => distrust(layer, reason);

    public void Dispose() => http.Dispose();
}
