using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.FunctionEndpoints;
using Berth.Server.Loops;
using Berth.Server.Problems;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>Builds the web server around the routes: addresses, limits, the gate and the problem documents.</summary>
internal static class HttpHost
{
    /// <summary>All of a request's headers. Arguments and variables of a run travel in them.</summary>
    private const int MaxHeaders = 128 * 1024;

    private const int MaxHeaderCount = 2048;

    /// <summary>Bytes a second of a document, counted once its sender has paused for longer than it may.</summary>
    private const double LeastRate = 240;

    /// <summary>Of answers the pause alone counts, in which one block has to be taken. Kestrel adds to it what all that
    /// was sent so far would have taken at this rate: at 240 bytes a second, who took a megabyte at once could keep the
    /// connection for an hour without reading.</summary>
    private const double NoCredit = 1e15;

    /// <summary>Kestrel looks once a second.</summary>
    private static readonly TimeSpan LeastGrace = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan DocumentGrace = TimeSpan.FromSeconds(5);

    public static WebApplication Build(ServerRooms rooms)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(rooms.Loggers);
        builder.Services.AddRoutingCore();
        BlockPoolFactory blocks = new();
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(blocks);
        // Signals are the command line's to handle.
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        PrefaceSwitch preface = new(rooms.Options.HeadTimeout, rooms.Time);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        builder.WebHost.UseKestrelCore();
        // After Kestrel's own transport, which is only added where there is none yet, and asked last.
        builder.Services.AddSingleton<IConnectionListenerFactory>(new LoopTransport(Listen, blocks.Create()));
        builder.Services.AddSingleton<IConnectionListenerFactory>(preface);
        if (rooms.Options.TlsCertificate is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }

        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, rooms.Options, preface));
        WebApplication application = builder.Build();
        TrustedProxies proxies = ProxiesOf(rooms.Options);
        AccessGate gate = new(rooms.Tokens, rooms.Options.MetricsOpen, rooms.Functions);
        FunctionArrivals arrivals = new(rooms.Functions, rooms.Exit, rooms.Time);
        FunctionCalls calls = ServerRoutes.CallsOf(rooms);
        ILogger<ProblemMiddleware> logger = rooms.Loggers.CreateLogger<ProblemMiddleware>();
        application.Use(next => new ProblemMiddleware(next, rooms.Time, logger).InvokeAsync);
        application.Use(next => context =>
        {
            ExtendedConnect.Translate(context);
            return next(context);
        });
        application.Use(next => new HostCalls(next, rooms.Functions, calls, gate, Check).InvokeAsync);
        application.UseRouting();
        application.Use(next =>
        {
            RequestDelegate leaving = Leaving(application, rooms, next);
            return context =>
            {
                Check(context);
                return arrivals.MayHave(context) ? arrivals.LookAsync(context, Enter) : Enter(context);
            };

            Task Enter(HttpContext context)
            {
                gate.Check(context);
                return LoopWork.Is(context) ? next(context) : leaving(context);
            }
        });
        ServerRoutes.Map(application, rooms, calls);
        return application;

        void Check(HttpContext context)
        {
            MessageFraming.Check(context.Request);
            proxies.Check(context);
        }
    }

    /// <summary>The addresses that are listened on, ports resolved.</summary>
    public static IReadOnlyList<Uri> AddressesOf(WebApplication application) =>
        [
            .. application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
                .Where(a => !a.Contains(PrefaceSwitch.Inside.ToString()!, StringComparison.Ordinal))
                .Select(a => new Uri(a)),
        ];

    /// <summary>What all requests pass that may not stay on their event loop.</summary>
    private static RequestDelegate Leaving(IApplicationBuilder application, ServerRooms rooms, RequestDelegate next)
    {
        IApplicationBuilder way = application.New();
        way.UseWebSockets(new WebSocketOptions
        {
            KeepAliveInterval = TimeSpan.FromSeconds(30),
            KeepAliveTimeout = TimeSpan.FromSeconds(60),
        });
        way.Run(context =>
        {
            if (!FunctionCalls.MayBeRoot(context))
            {
                ExtendedConnect.Refuse(context);
            }

            return rooms.Exit.RunAsync(context, next);
        });
        return way.Build();
    }

    private static void Configure(KestrelServerOptions kestrel, ServerOptions options, PrefaceSwitch preface)
    {
        kestrel.AddServerHeader = false;
        // Programs' headers pass as they are, byte by byte (RFC 9110, section 5.5); Berth's own are ASCII.
        kestrel.ResponseHeaderEncodingSelector = static _ => Encoding.Latin1;
        kestrel.AllowSynchronousIO = false;
        // A proxy that ends TLS in front sends its own scheme (RFC 9113, section 8.3.1); HAProxy always "https". Whose
        // is allowed TrustedProxies says; where there are none, Kestrel allows the connection's own alone.
        kestrel.AllowAlternateSchemes = !ProxiesOf(options).IsEmpty;
        kestrel.Limits.MaxConcurrentConnections = options.MaxConnections;
        kestrel.Limits.MaxRequestHeadersTotalSize = MaxHeaders;
        kestrel.Limits.MaxRequestHeaderCount = MaxHeaderCount;
        kestrel.Limits.MaxRequestLineSize = 16 * 1024;
        kestrel.Limits.RequestHeadersTimeout = options.HeadTimeout;
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(130);
        // A reader may pause as long as a sender; Kestrel's own five seconds end honest ones.
        TimeSpan pause = options.BodyIdleTimeout > LeastGrace ? options.BodyIdleTimeout : LeastGrace;
        kestrel.Limits.MinResponseDataRate = new MinDataRate(NoCredit, pause);
        // Of documents, which come at once; what may pause lifts it (PatientBody).
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(
            LeastRate, pause < DocumentGrace ? pause : DocumentGrace);
        // Every route sets its own limit; what takes no body gets none.
        kestrel.Limits.MaxRequestBodySize = JsonBody.MaxLength;
        // Several blocks under way in each direction, so that neither side waits for the other at every block.
        kestrel.Limits.MaxRequestBufferSize = 1024 * 1024;
        kestrel.Limits.MaxResponseBufferSize = 1024 * 1024;
        kestrel.Limits.Http2.MaxStreamsPerConnection = 256;
        kestrel.Limits.Http2.InitialConnectionWindowSize = 4 * 1024 * 1024;
        kestrel.Limits.Http2.InitialStreamWindowSize = 1024 * 1024;
        kestrel.Limits.Http2.MaxFrameSize = 64 * 1024;
        kestrel.Limits.Http2.MaxRequestHeaderFieldSize = 64 * 1024;
        kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(60);

        X509Certificate2? certificate = Certificate(options);
        foreach (ListenAddress address in options.Listen)
        {
            kestrel.Listen(address.Address, address.Port, listen =>
            {
                listen.Use(next => connection =>
                {
                    connection.Features.Set(new KnownCaller());
                    return next(connection);
                });
                if (certificate is not null)
                {
                    listen.Protocols = HttpProtocols.Http1AndHttp2;
                    listen.UseHttps(certificate, tls => tls.HandshakeTimeout = options.HeadTimeout);
                    listen.Use(next => connection => BehindTlsAsync(connection, next));
                    return;
                }

                listen.Protocols = HttpProtocols.Http1;
                listen.Use(next => connection => preface.HandleAsync(connection, next));
            });
        }

        if (certificate is null)
        {
            kestrel.Listen(PrefaceSwitch.Inside, listen => listen.Protocols = HttpProtocols.Http2);
        }
    }

    private static TrustedProxies ProxiesOf(ServerOptions options) =>
        new(options.TrustedProxies, options.TlsCertificate is null ? "http" : "https");

    private static Task BehindTlsAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        ITlsApplicationProtocolFeature? chosen = connection.Features.Get<ITlsApplicationProtocolFeature>();
        if (chosen is null || !chosen.ApplicationProtocol.Span.SequenceEqual("h2"u8))
        {
            connection.Transport = new StrictTransport(connection.Transport);
        }

        return next(connection);
    }

    /// <summary>
    /// A caller whose machine or way has vanished sends no word of it: the kernel asks, and a minute without an answer
    /// ends the connection. What is accepted inherits the listener's options.
    /// </summary>
    private static Socket Listen(EndPoint address)
    {
        Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(address);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
        return socket;
    }

    private static X509Certificate2? Certificate(ServerOptions options)
    {
        if (options.TlsCertificate is null)
        {
            return null;
        }

        try
        {
            return X509Certificate2.CreateFromPemFile(options.TlsCertificate, options.TlsKey);
        }
        catch (Exception e) when (e is System.Security.Cryptography.CryptographicException or IOException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"tls-certificate = '{options.TlsCertificate}' with tls-key = '{options.TlsKey}' can't be used: "
                + e.Message, e);
        }
    }
}
