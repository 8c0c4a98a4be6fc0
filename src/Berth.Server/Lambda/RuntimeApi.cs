using System.Globalization;
using System.Net;
using System.Threading.Channels;
using Berth.Core.Resources;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Berth.Server.Lambda;

/// <summary>
/// AWS Lambda's Runtime API (2018-06-01) for the programs of all instances: one Kestrel inside the process, whose only
/// connections are those that programs make to their own sandbox's loopback. Which instance asks is known by the
/// connection, never by what it says.
/// </summary>
internal sealed class RuntimeApi : IConnectionListenerFactory, IHttpApplication<HttpContext>, IAsyncDisposable
{
    /// <summary>Of one instance at once; clients use one or two. Further ones wait in the sandbox's own backlog.
    /// </summary>
    private const int MaxConnections = 16;

    /// <summary>Headers of requests; the clients send some hundred bytes.</summary>
    private const int MaxHeaders = 32 * 1024;

    /// <summary>A place is free again only after this, so that no program keeps the server busy with connections.
    /// </summary>
    private static readonly TimeSpan PlaceRest = TimeSpan.FromMilliseconds(20);

    /// <summary>On their way to Kestrel, which takes them as fast as it can; one more is closed.</summary>
    private const int Handed = 1024;

    /// <summary>A handler may work for as long between its questions.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromDays(2);

    private readonly RuntimeRequests requests;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly KestrelServer kestrel;
    private readonly Lazy<Task> started;
    private readonly Channel<ConnectionContext> accepted = Channel.CreateBounded<ConnectionContext>(Handed);
    private long connections;

    /// <param name="limit">Of an answer that does not stream.</param>
    public RuntimeApi(ByteSize limit, TimeProvider time, ILoggerFactory loggers)
    {
        this.time = time;
        requests = new RuntimeRequests(limit, time);
        logger = loggers.CreateLogger<RuntimeApi>();
        KestrelServerOptions options = new() { AddServerHeader = false, AllowSynchronousIO = false };
        options.Limits.MaxRequestHeadersTotalSize = MaxHeaders;
        options.Limits.KeepAliveTimeout = KeepAlive;
        // Handlers take their time to answer; the call's deadline bounds it.
        options.Limits.MinRequestBodyDataRate = null;
        options.Limits.MaxRequestBodySize = RuntimeRequests.MaxDocument;
        options.ResponseHeaderEncodingSelector = static _ => System.Text.Encoding.UTF8;
        options.Listen(new InsideEndPoint(), listen => listen.Protocols = HttpProtocols.Http1);
        kestrel = new KestrelServer(Options.Create(options), this, loggers);
        started = new Lazy<Task>(() => kestrel.StartAsync(this, CancellationToken.None));
    }

    /// <summary>Answers an instance's program from now on.</summary>
    public async Task<RuntimeSession> AttachAsync(LiveInstance live)
    {
        await started.Value;
        RuntimeSession session = new();
        _ = AcceptAsync(live, session);
        return session;
    }

    public async ValueTask DisposeAsync()
    {
        accepted.Writer.TryComplete();
        if (started.IsValueCreated)
        {
            using CancellationTokenSource now = new(TimeSpan.Zero);
            await kestrel.StopAsync(now.Token);
        }

        kestrel.Dispose();
    }

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(new Listener(accepted.Reader, endpoint));

    public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures);

    public Task ProcessRequestAsync(HttpContext context) => requests.AnswerAsync(context);

    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }

    private async Task AcceptAsync(LiveInstance live, RuntimeSession session)
    {
        using SemaphoreSlim places = new(MaxConnections);
        List<Task> open = [];
        try
        {
            while (true)
            {
                await places.WaitAsync(session.Over);
                Stream stream = await live.AcceptAsync(session.Over);
                string id = Interlocked.Increment(ref connections).ToString(CultureInfo.InvariantCulture);
                RuntimeConnection connection = new(stream, session, $"{live.Id}-{id}");
                open.RemoveAll(t => t.IsCompleted);
                open.Add(ReleaseAsync(connection, places));
                if (!accepted.Writer.TryWrite(connection))
                {
                    await connection.DisposeAsync();
                }
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The instance has ended, and its connections with it.
        }
        catch (Exception error)
        {
            Log.AcceptFailed(logger, live.Id, error);
            live.Stop(Core.Runs.EndReason.PlatformFault);
        }

        await Task.WhenAll(open);
    }

    private async Task ReleaseAsync(RuntimeConnection connection, SemaphoreSlim places)
    {
        await connection.Ended;
        await Task.Delay(PlaceRest, time);
        places.Release();
    }

    private sealed class InsideEndPoint : EndPoint
    {
        public override string ToString() => "lambda-runtime-api";
    }

    private sealed class Listener(ChannelReader<ConnectionContext> connections, EndPoint endpoint) : IConnectionListener
    {
        private readonly CancellationTokenSource unbound = new();

        public EndPoint EndPoint => endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            using CancellationTokenSource either =
                CancellationTokenSource.CreateLinkedTokenSource(unbound.Token, cancellationToken);
            try
            {
                return await connections.ReadAsync(either.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or ChannelClosedException)
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
}
