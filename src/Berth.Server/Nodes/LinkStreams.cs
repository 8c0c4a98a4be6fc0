using System.IO.Pipelines;
using System.Net;
using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>The streams of one link, as its server end makes them. Disposing it ends the link.</summary>
internal interface ILinkStreams : IDisposable
{
    /// <summary>Begins one. Throws IOException where the link is over.</summary>
    LinkExchange Open(string path);
}

/// <summary>Streams of Berth's own.</summary>
internal sealed class MultiplexedStreams : ILinkStreams
{
    private readonly Multiplexer streams;

    public MultiplexedStreams(Stream connection, TimeProvider time)
    {
        // What comes over a connection with a program is passed on by whoever waits for it, at once; the thread is an
        // event loop's, so nobody else goes on in it.
        streams = new Multiplexer(
            connection, opened: null,
            static path => path == LinkProtocol.ConnectionPath, time, others: PipeScheduler.ThreadPool);
        Ended = streams.RunAsync();
    }

    /// <summary>What the node did wrong; null where the link just ended.</summary>
    public Task<LinkException?> Ended { get; }

    public LinkExchange Open(string path) => new MultiplexedExchange(
        // On the control stream it is the node that speaks first; every other one begins with a frame of the server's.
        streams.Open(path, isFollowed: path != LinkProtocol.ControlPath));

    public void Dispose() => streams.Dispose();

    private sealed class MultiplexedExchange : LinkExchange
    {
        private readonly MultiplexedStream stream;
        private readonly Task<FrameReader> reader;
        private bool isComplete;

        public MultiplexedExchange(MultiplexedStream stream)
        {
            this.stream = stream;
            reader = Task.FromResult(new FrameReader(stream.Input));
            Writer = new FrameWriter(stream.Output);
        }

        public override FrameWriter Writer { get; }

        public override Task<FrameReader> ReaderAsync(CancellationToken cancellationToken) => reader;

        public override void Complete()
        {
            Volatile.Write(ref isComplete, true);
            stream.End();
        }

        public override void EndRequest() => stream.End();

        public override void Dispose()
        {
            if (Volatile.Read(ref isComplete))
            {
                stream.End();
            }
            else
            {
                stream.Reset();
            }
        }
    }
}

/// <summary>Streams of HTTP/2, for nodes of before there were others.</summary>
internal sealed class HttpStreams : ILinkStreams
{
    /// <summary>Bodies come in large pieces; a connection that is idle holds none of the memory for them.</summary>
    private static readonly StreamPipeReaderOptions Connections = new(
        bufferSize: LinkProtocol.MaxData, useZeroByteReads: true);

    private readonly HttpMessageInvoker http;

    public HttpStreams(Stream connection)
    {
        Stream? left = connection;
        http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            ActivityHeadersPropagator = null,
            EnableMultipleHttp2Connections = false,
            PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            InitialHttp2StreamWindowSize = 1024 * 1024,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always,
            ConnectCallback = (_, _) => Interlocked.Exchange(ref left, null) is { } only
                ? ValueTask.FromResult(only)
                : throw new IOException("The link is over."),
        });
    }

    public LinkExchange Open(string path) =>
        new HttpExchange(http, path, path == LinkProtocol.ConnectionPath ? Connections : null);

    public void Dispose() => http.Dispose();
}
