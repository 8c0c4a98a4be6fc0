using System.IO.Pipelines;
using System.Net;
using System.Threading.Channels;
using Berth.Api.Links;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// Answers HTTP/2 over connections that this machine made: a web server that listens nowhere. What it is given with
/// <see cref="ServeAsync"/> has been through TLS with the server's certificate.
/// </summary>
internal sealed class LinkHost : IConnectionListenerFactory, IConnectionListenerFactorySelector, IAsyncDisposable
{
    // Links are made one after the other.
    private readonly Channel<ConnectionContext> dialled = Channel.CreateBounded<ConnectionContext>(4);
    private readonly WebApplication host;

    public LinkHost(RequestDelegate answer, ILoggerFactory loggers)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        builder.Services.AddSingleton<IConnectionListenerFactory>(this);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            // A program may pause as long as it likes; what is not alive shows by its missing answers to pings.
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromDays(365);
            kestrel.Limits.Http2.MaxStreamsPerConnection = LinkProtocol.MaxStreams;
            kestrel.Limits.Http2.InitialConnectionWindowSize = 8 * 1024 * 1024;
            kestrel.Limits.Http2.InitialStreamWindowSize = 1024 * 1024;
            kestrel.Limits.Http2.MaxFrameSize = 64 * 1024;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(2);
            kestrel.Limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(4);
            kestrel.Listen(new DialledEndPoint(), listen => listen.Protocols = HttpProtocols.Http2);
        });
        host = builder.Build();
        host.Run(answer);
    }

    public bool CanBind(EndPoint endpoint) => endpoint is DialledEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(new Listener(dialled));

    public Task StartAsync(CancellationToken cancellationToken) => host.StartAsync(cancellationToken);

    /// <summary>Answers over a connection until it ends, or <paramref name="stop"/>.</summary>
    public async Task ServeAsync(Stream connection, CancellationToken stop)
    {
        DialledConnection dial = new(connection);
        await using (stop.Register(() => dial.Abort(new ConnectionAbortedException("The link ends."))))
        {
            await dialled.Writer.WriteAsync(dial, stop);
            await dial.Ended;
        }
    }

    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource now = new();
        await now.CancelAsync();
        await host.StopAsync(now.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await host.DisposeAsync();
    }

    private sealed class DialledEndPoint : EndPoint
    {
        public override string ToString() => "link";
    }

    private sealed class Listener(Channel<ConnectionContext> connections) : IConnectionListener
    {
        private readonly CancellationTokenSource unbound = new();

        public EndPoint EndPoint { get; } = new DialledEndPoint();

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            using CancellationTokenSource either =
                CancellationTokenSource.CreateLinkedTokenSource(unbound.Token, cancellationToken);
            try
            {
                return await connections.Reader.ReadAsync(either.Token);
            }
            catch (OperationCanceledException)
            {
                return null;
            }
        }

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default) =>
            await unbound.CancelAsync();

        public ValueTask DisposeAsync()
        {
            unbound.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private sealed class DialledConnection : ConnectionContext
    {
        private readonly Stream stream;
        private readonly CancellationTokenSource closed = new();
        private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int disposed;

        public DialledConnection(Stream stream)
        {
            this.stream = stream;
            Transport = new Pipes(
                PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 64 * 1024, leaveOpen: true)),
                PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: 16 * 1024, leaveOpen: true)));
        }

        public Task Ended => ended.Task;

        public override string ConnectionId { get; set; } = "link";

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override IDuplexPipe Transport { get; set; }

        public override CancellationToken ConnectionClosed
        {
            get => closed.Token;
            set => throw new NotSupportedException();
        }

        public override void Abort(ConnectionAbortedException abortReason)
        {
            // What reads or writes the stream ends with it.
            stream.Dispose();
            closed.Cancel();
        }

        public override async ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref disposed, 1) == 0)
            {
                await stream.DisposeAsync();
                await closed.CancelAsync();
                ended.TrySetResult();
            }

            await base.DisposeAsync();
        }

        private sealed record Pipes(PipeReader Input, PipeWriter Output) : IDuplexPipe;
    }
}
