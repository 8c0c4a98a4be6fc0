using System.IO.Pipelines;
using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Server.Cluster;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.Loops;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>What the address for nodes leads to.</summary>
/// <param name="Server">Name in this server's certificate.</param>
/// <param name="Answers">For other servers of the same store; null where there can be none.</param>
/// <param name="Peers">What nodes ask for and is not here.</param>
/// <param name="Time">By which links are watched.</param>
internal sealed record GateParts(
    NodeRegister Register, NodeAuthority Authority, IContentStore Content, NodeLinks Links, string Server,
    PeerAnswers? Answers, Peers? Peers, TimeProvider Time);

/// <summary>
/// The address that nodes dial, and other servers, TLS and HTTP/2 only. What a connection is for is settled in its
/// handshake: a link, over which the server asks, or requests. But for joining, each needs the certificate of a node
/// that there is, or of a server.
/// </summary>
internal sealed class NodeGate : IAsyncDisposable
{
    /// <summary>A node holds one link and a few connections for content.</summary>
    private const int MaxConnections = 20_000;

    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(15);

    private readonly NodeRegister register;
    private readonly NodeNeighbours neighbours;
    private readonly NodeAuthority authority;
    private readonly GateParts parts;
    private readonly WebApplication host;
    private readonly X509Certificate2 certificate;
    private readonly ILogger logger;

    private NodeGate(GateParts parts, IReadOnlyList<ListenAddress> addresses, ILoggerFactory loggers)
    {
        this.parts = parts;
        register = parts.Register;
        neighbours = new NodeNeighbours(parts.Register);
        authority = parts.Authority;
        logger = loggers.CreateLogger<NodeGate>();
        certificate = authority.MakeServer(parts.Server);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        BlockPoolFactory blocks = new();
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(blocks);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        // After Kestrel's own transport, which is only added where there is none yet, and asked last. Handshakes and
        // requests take longer than a loop has.
        builder.Services.AddSingleton<IConnectionListenerFactory>(new LoopTransport(
            SocketTransportOptions.CreateDefaultBoundListenSocket, blocks.Create(), usesPool: true));
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, addresses));
        host = builder.Build();
        host.Run(AnswerAsync);
    }

    /// <summary>Where it listens, with the ports that were taken.</summary>
    public IReadOnlyList<Uri> Addresses =>
        [.. host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .Select(a => new Uri(a))];

    /// <summary>Listens; throws BerthException (<c>InvalidConfiguration</c>) where it can't.</summary>
    public static async Task<NodeGate> OpenAsync(
        GateParts parts, IReadOnlyList<ListenAddress> addresses, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        NodeGate gate = new(parts, addresses, loggers);
        try
        {
            await gate.host.StartAsync(cancellationToken);
            string listening = string.Join(", ", gate.Addresses);
            Log.Listening(gate.logger, listening);
            return gate;
        }
        catch (Exception error)
        {
            await gate.DisposeAsync();
            throw error is IOException or System.Net.Sockets.SocketException
                ? new BerthException(
                    ErrorCode.InvalidConfiguration,
                    $"node-listen = '{string.Join(",", addresses)}' can't be used: {error.Message} Choose another with "
                    + "--node-listen.", error)
                : error;
        }
    }

    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource soon = new(TimeSpan.FromSeconds(2));
        await host.StopAsync(soon.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await host.DisposeAsync();
        certificate.Dispose();
    }

    private void Configure(KestrelServerOptions kestrel, IReadOnlyList<ListenAddress> addresses)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = MaxConnections;
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
        kestrel.Limits.MaxRequestBodySize = JsonBody.MaxLength;
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromMinutes(2);
        kestrel.Limits.Http2.MaxStreamsPerConnection = 64;
        foreach (ListenAddress address in addresses)
        {
            kestrel.Listen(address.Address, address.Port, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                listen.UseHttps(new HttpsConnectionAdapterOptions
                {
                    ServerCertificate = certificate,
                    SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                    HandshakeTimeout = HandshakeLimit,
                    ClientCertificateMode = ClientCertificateMode.AllowCertificate,
                    // Who holds it is looked up with each request; here is only said that it is one of ours.
                    ClientCertificateValidation = (presented, _, _) => authority.IsNode(presented),
                    OnAuthenticate = (_, tls) => tls.ApplicationProtocols =
                    [
                        System.Net.Security.SslApplicationProtocol.Http2,
                        new System.Net.Security.SslApplicationProtocol(LinkProtocol.NegotiatedStreams),
                        new System.Net.Security.SslApplicationProtocol(LinkProtocol.Negotiated),
                    ],
                });
                listen.Use(next => connection => SortAsync(connection, next));
            });
        }
    }

    /// <summary>A link is no request: it leaves Kestrel here, and the connection lasts as long as it does.</summary>
    private async Task SortAsync(ConnectionContext connection, ConnectionDelegate requests)
    {
        ReadOnlyMemory<byte> chosen =
            connection.Features.Get<ITlsApplicationProtocolFeature>()?.ApplicationProtocol ?? default;
        bool isMultiplexed = Is(chosen, LinkProtocol.NegotiatedStreams);
        if (!isMultiplexed && !Is(chosen, LinkProtocol.Negotiated))
        {
            await requests(connection);
            return;
        }

        X509Certificate2? presented = connection.Features.Get<ITlsConnectionFeature>()?.ClientCertificate;
        if (register.Holder(presented) is not { } node)
        {
            Log.Unknown(logger, connection.RemoteEndPoint?.ToString() ?? "?");
            return;
        }

        await using DuplexStream stream = new(connection.Transport);
        string certificate = LinkCertificates.FingerprintOf(presented!);
        if (!isMultiplexed)
        {
            await parts.Links.ServeAsync(node, certificate, new HttpStreams(stream), connection.ConnectionClosed);
            return;
        }

        // From here on the loop's thread takes what comes, and whoever waits for a program's answer goes on in it.
        connection.Features.GetRequiredFeature<LoopScheduler>().UsesPool = false;
        using MultiplexedStreams streams = new(stream, parts.Time);
        await parts.Links.ServeAsync(node, certificate, streams, connection.ConnectionClosed);
        streams.Dispose();
        if (await streams.Ended is { } wrong)
        {
            Log.LinkBroke(logger, node.Name, wrong.Message);
        }
    }

    private static bool Is(ReadOnlyMemory<byte> chosen, string protocol) =>
        chosen.Span.SequenceEqual(new System.Net.Security.SslApplicationProtocol(protocol).Protocol.Span);

    private async Task AnswerAsync(HttpContext context)
    {
        try
        {
            await RouteAsync(context);
        }
        catch (BerthException refusal)
        {
            ErrorEntry entry = ErrorCatalog.Find(refusal.Code);
            context.Response.StatusCode = entry.Status;
            await JsonBody.WriteAsync(
                context, new RefusalReport(entry.Code, refusal.Message, null), LinkJson.Default.RefusalReport,
                entry.Status);
        }
    }

    private async Task RouteAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "";
        switch (context.Request.Method, path)
        {
            case ("GET", LinkProtocol.AuthorityPath):
                context.Response.ContentType = "application/x-pem-file";
                await context.Response.WriteAsync(authority.Certificate, context.RequestAborted);
                return;
            case ("POST", LinkProtocol.JoinPath):
                JoinRequest join = await JsonBody.ReadAsync(context, LinkJson.Default.JoinRequest);
                await JsonBody.WriteAsync(
                    context, await register.JoinAsync(join, context.RequestAborted),
                    LinkJson.Default.CertificateAnswer);
                return;
        }

        X509Certificate2? presented = await context.Connection.GetClientCertificateAsync(context.RequestAborted);
        if (presented is not null && parts.Answers is { } answers && authority.ServerOf(presented) is not null)
        {
            await answers.AnswerAsync(context);
            return;
        }

        NodeEntry node = register.Holder(presented) ?? throw new BerthException(
            ErrorCode.Unauthorized,
            "The certificate is of no node that this server knows: it was removed, or has expired. Join again with a "
            + "new token.");
        switch (context.Request.Method, path)
        {
            case ("POST", LinkProtocol.RenewPath):
                RenewRequest renew = await JsonBody.ReadAsync(context, LinkJson.Default.RenewRequest);
                await JsonBody.WriteAsync(
                    context,
                    await register.RenewAsync(
                        node, LinkCertificates.FingerprintOf(presented!), renew, context.RequestAborted),
                    LinkJson.Default.CertificateAnswer);
                return;
            case ("GET", _) when path.StartsWith(LinkProtocol.BlobPath, StringComparison.Ordinal):
                await SendBlobAsync(context, Digest.Parse(path[LinkProtocol.BlobPath.Length..]));
                return;
            case ("GET", _) when path.StartsWith(LinkProtocol.NeighboursPath, StringComparison.Ordinal):
                Digest image = Digest.Parse(path[LinkProtocol.NeighboursPath.Length..]);
                await JsonBody.WriteAsync(context, neighbours.Of(node, image), LinkJson.Default.NeighbourList);
                return;
            case ("GET", _) when path.StartsWith(LinkProtocol.CertificatesPath, StringComparison.Ordinal)
                && path[LinkProtocol.CertificatesPath.Length..].Split('/') is [var name, var hash]
                && register.HasCertificate(name, hash):
                context.Response.StatusCode = StatusCodes.Status204NoContent;
                return;
            default:
                throw new BerthException(ErrorCode.NotFound, "There is no such address here.");
        }
    }

    private async Task SendBlobAsync(HttpContext context, Digest digest)
    {
        bool isHere = parts.Content.SizeOf(digest) is not null || parts.Peers is not { Any: true };
        await using Stream blob = isHere
            ? parts.Content.OpenRead(digest)
            : await parts.Peers!.OpenBlobAsync(digest, context.RequestAborted);
        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = isHere ? blob.Length : null;
        await blob.CopyToAsync(context.Response.Body, 128 * 1024, context.RequestAborted);
    }
}
