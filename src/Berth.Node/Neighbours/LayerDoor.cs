using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Node.Links;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Neighbours;

/// <summary>
/// Where other nodes of the same authority fetch layers of images that this one holds: TLS with a certificate on both
/// sides, <c>GET /blobs/DIGEST</c> and nothing else. Its own certificate is made anew at each start, and is known by
/// its fingerprint alone. The first type to read in this room.
/// </summary>
internal sealed class LayerDoor : IAsyncDisposable
{
    /// <summary>Layers that are sent at once. Who comes beyond that asks the server, so that calls which run here keep
    /// most of the processors and of the network.</summary>
    public const int AtOnce = 4;

    /// <summary>A neighbour has three connections for an image.</summary>
    private const int MostConnections = 64;

    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Life = TimeSpan.FromDays(3650);

    /// <summary>Who reads more slowly gives its turn to others. One that is asked to rest reads 1 MiB/s.</summary>
    private static readonly MinDataRate LeastRate = new(64 * 1024, TimeSpan.FromSeconds(10));

    private readonly Func<Digest, Stream?> open;
    private readonly Guests guests;
    private readonly ILogger logger;
    private readonly X509Certificate2 certificate;
    private readonly WebApplication host;
    private int sending;

    /// <param name="open">A layer of an image that is held; null where it is none.</param>
    /// <param name="guests">Who may come in.</param>
    public LayerDoor(
        IPEndPoint address, Func<Digest, Stream?> open, Guests guests, TimeProvider time, ILoggerFactory loggers)
    {
        this.open = open;
        this.guests = guests;
        logger = loggers.CreateLogger<LayerDoor>();
        certificate = MakeCertificate(time.GetUtcNow());
        Fingerprint = LinkCertificates.FingerprintOf(certificate);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, address));
        host = builder.Build();
        host.Run(AnswerAsync);
    }

    /// <summary>SHA-256 of its certificate, lower-case hexadecimal.</summary>
    public string Fingerprint { get; }

    /// <summary>What servers are told of it, once it is open.</summary>
    public LayerOffer Offer
    {
        get
        {
            Uri address = new(host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!
                .Addresses.First());
            // Its authority would leave out TLS's own port.
            return new LayerOffer($"{address.Host}:{address.Port}", Fingerprint);
        }
    }

    /// <summary>Listens; throws BerthException (<c>InvalidConfiguration</c>) where it can't.</summary>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        try
        {
            await host.StartAsync(cancellationToken);
        }
        catch (Exception error) when (error is IOException or System.Net.Sockets.SocketException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"Layers can't be offered to other nodes: {error.Message} --share-layers takes an address of this "
                + "machine and a port that is free.", error);
        }

        NeighbourLog.Offered(logger, Offer.Address);
    }

    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource now = new();
        await now.CancelAsync();
        await host.StopAsync(now.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await host.DisposeAsync();
        certificate.Dispose();
    }

    private void Configure(KestrelServerOptions kestrel, IPEndPoint address)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = MostConnections;
        kestrel.Limits.MaxRequestHeadersTotalSize = 8 * 1024;
        kestrel.Limits.MaxRequestBodySize = 0;
        kestrel.Limits.RequestHeadersTimeout = HandshakeLimit;
        kestrel.Limits.KeepAliveTimeout = Idle;
        kestrel.Limits.MinResponseDataRate = LeastRate;
        kestrel.Listen(address, listen =>
        {
            listen.Protocols = HttpProtocols.Http1;
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificate = certificate,
                SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                HandshakeTimeout = HandshakeLimit,
                ClientCertificateMode = ClientCertificateMode.RequireCertificate,
                // Whether its node was removed is looked up with each request.
                ClientCertificateValidation = (presented, _, _) => guests.IsNode(presented),
            });
        });
    }

    private async Task AnswerAsync(HttpContext context)
    {
        CancellationToken gone = context.RequestAborted;
        X509Certificate2? presented = context.Connection.ClientCertificate;
        if (presented is null || !await guests.IsWelcomeAsync(presented, gone))
        {
            context.Response.StatusCode = StatusCodes.Status403Forbidden;
            return;
        }

        string path = context.Request.Path.Value ?? "";
        if (!HttpMethods.IsGet(context.Request.Method)
            || !path.StartsWith(LinkProtocol.BlobPath, StringComparison.Ordinal)
            || !Digest.TryParse(path[LinkProtocol.BlobPath.Length..], out Digest layer))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        try
        {
            if (Interlocked.Increment(ref sending) > AtOnce)
            {
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                return;
            }

            await SendAsync(context, layer, gone);
        }
        finally
        {
            Interlocked.Decrement(ref sending);
        }
    }

    private async Task SendAsync(HttpContext context, Digest layer, CancellationToken gone)
    {
        await using Stream? blob = open(layer);
        if (blob is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = blob.Length;
        try
        {
            await blob.CopyToAsync(context.Response.Body, 128 * 1024, gone);
        }
        catch (OperationCanceledException)
        {
            // Who asked has gone.
            return;
        }
    }

    private static X509Certificate2 MakeCertificate(DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=Berth layers", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(
            new X509EnhancedKeyUsageExtension([new Oid(LinkCertificates.ServerUse)], critical: true));
        using X509Certificate2 made = request.CreateSelfSigned(now - LinkCertificates.Backdated, now + Life);
        return LinkCertificates.WithLastingKey(made);
    }
}
