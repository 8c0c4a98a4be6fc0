using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Berth.Server.Hosting;

/// <summary>
/// HTTP/1.1 and HTTP/2 on one port without TLS. Kestrel decides by TLS's negotiation alone; here a connection
/// that begins with HTTP/2's preface (RFC 9113, section 3.4) is handed to a second listener inside the process
/// that speaks only HTTP/2. One that says nothing is closed, because Kestrel's own limits begin only behind this.
/// </summary>
/// <param name="patience">From a connection's acceptance to its first bytes.</param>
internal sealed class PrefaceSwitch(TimeSpan patience, TimeProvider time)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    // A clear connection cannot pile up here: the other listener accepts as fast as it can.
    private readonly Channel<ConnectionContext> handedOver = Channel.CreateBounded<ConnectionContext>(1024);

    private static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    /// <summary>Where the second listener listens.</summary>
    public static EndPoint Inside { get; } = new InsideEndPoint();

    public bool CanBind(EndPoint endpoint) => endpoint is InsideEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(new Listener(handedOver));

    /// <summary>Looks at a connection's first bytes, takes none of them, and passes it on to whom it is for.</summary>
    public async Task HandleAsync(ConnectionContext connection, ConnectionDelegate http1)
    {
        switch (await LookAsync(connection))
        {
            case First.Http1:
                connection.Transport = new StrictTransport(connection.Transport);
                await http1(connection);
                break;
            case First.Http2:
                Handed handed = new(connection);
                if (await TryHandAsync(handed))
                {
                    await handed.Ended;
                }

                break;
            default:
                // Returning closes it.
                break;
        }
    }

    /// <summary>False where nobody takes connections any more.</summary>
    private async Task<bool> TryHandAsync(Handed handed)
    {
        try
        {
            await handedOver.Writer.WriteAsync(handed);
            return true;
        }
        catch (ChannelClosedException)
        {
            return false;
        }
    }

    private async Task<First> LookAsync(ConnectionContext connection)
    {
        // A stopping server asks idle connections to close; this one is idle.
        CancellationToken stopping =
            connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested
                ?? CancellationToken.None;
        using CancellationTokenSource late = new(patience, time);
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(
            late.Token, stopping, connection.ConnectionClosed);
        try
        {
            return await LookAsync(connection.Transport.Input, any.Token);
        }
        catch (Exception e)
            when (e is OperationCanceledException or ConnectionResetException or ConnectionAbortedException)
        {
            return First.Nothing;
        }
    }

    private static async Task<First> LookAsync(PipeReader input, CancellationToken given)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(given);
            ReadOnlySequence<byte> start = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, Preface.Length));
            bool equal = Begins(start);
            bool whole = start.Length == Preface.Length;
            // Nothing is taken. Less than the preface is looked at again when more has come.
            bool wantsMore = equal && !whole && !read.IsCompleted;
            input.AdvanceTo(read.Buffer.Start, wantsMore ? read.Buffer.End : read.Buffer.Start);
            if (!wantsMore)
            {
                return equal && whole ? First.Http2 : First.Http1;
            }
        }
    }

    private static bool Begins(ReadOnlySequence<byte> start)
    {
        Span<byte> bytes = stackalloc byte[Preface.Length];
        start.CopyTo(bytes);
        return Preface.StartsWith(bytes[..(int)start.Length]);
    }

    private enum First
    {
        Nothing,
        Http1,
        Http2,
    }

    private sealed class InsideEndPoint : EndPoint
    {
        public override string ToString() => "http2-inside";
    }

    private sealed class Listener(Channel<ConnectionContext> connections) : IConnectionListener
    {
        private readonly CancellationTokenSource unbound = new();

        public EndPoint EndPoint => Inside;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            using CancellationTokenSource either =
                CancellationTokenSource.CreateLinkedTokenSource(unbound.Token, cancellationToken);
            try
            {
                return await connections.Reader.ReadAsync(either.Token);
            }
            catch (Exception ended) when (ended is OperationCanceledException or ChannelClosedException)
            {
                return null;
            }
        }

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            await unbound.CancelAsync();
            connections.Writer.TryComplete();
            while (connections.Reader.TryRead(out ConnectionContext? left))
            {
                await left.DisposeAsync();
            }
        }

        public ValueTask DisposeAsync()
        {
            unbound.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>The connection as the second listener sees it; disposing it lets the first one close it.</summary>
    private sealed class Handed(ConnectionContext inner) : ConnectionContext
    {
        private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Ended => ended.Task;

        public override string ConnectionId
        {
            get => inner.ConnectionId;
            set => inner.ConnectionId = value;
        }

        public override Microsoft.AspNetCore.Http.Features.IFeatureCollection Features => inner.Features;

        public override IDictionary<object, object?> Items
        {
            get => inner.Items;
            set => inner.Items = value;
        }

        public override IDuplexPipe Transport
        {
            get => inner.Transport;
            set => inner.Transport = value;
        }

        public override EndPoint? LocalEndPoint
        {
            get => inner.LocalEndPoint;
            set => inner.LocalEndPoint = value;
        }

        public override EndPoint? RemoteEndPoint
        {
            get => inner.RemoteEndPoint;
            set => inner.RemoteEndPoint = value;
        }

        public override CancellationToken ConnectionClosed
        {
            get => inner.ConnectionClosed;
            set => inner.ConnectionClosed = value;
        }

        public override void Abort(ConnectionAbortedException abortReason) => inner.Abort(abortReason);

        public override ValueTask DisposeAsync()
        {
            ended.TrySetResult();
            return base.DisposeAsync();
        }
    }
}
