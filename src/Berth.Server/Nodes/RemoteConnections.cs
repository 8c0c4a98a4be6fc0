using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Server.Loops;

namespace Berth.Server.Nodes;

/// <summary>
/// Connections to the programs of one node, and from them, each a stream of its link. There are so many at most; the
/// link's end is theirs.
/// </summary>
/// <param name="most">So many.</param>
internal sealed class RemoteConnections(
    NodeLink link, TimeProvider time, int most = LinkProtocol.MaxConnections)
{
    private int count;

    /// <summary>Connections there are now.</summary>
    public int Count => Volatile.Read(ref count);

    /// <summary>Returns when it is made. Throws IOException where nothing listens or the node is gone, BerthException
    /// (<c>QueueFull</c>) where there are too many, or what the node refused it with.</summary>
    public async Task<LinkedStream> OpenAsync(ConnectOrder order, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref count) > most)
        {
            Interlocked.Decrement(ref count);
            throw new BerthException(
                ErrorCode.QueueFull,
                $"Node '{link.Name}' has {most:N0} connections with its programs, and no more "
                + "at once: send it again later, or have further nodes.")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            };
        }

        LinkExchange? exchange = null;
        try
        {
            exchange = link.Open(LinkProtocol.ConnectionPath);
            FrameReader frames = await BeginAsync(exchange, order, cancellationToken);
            // The answer came in an event loop, and nobody knows here what its caller does next.
            await new PoolTurn();
            return new LinkedStream(
                frames, exchange.Writer, closed => _ = CloseAsync(closed, exchange), CancellationToken.None,
                // What a program asks of the server may take long.
                isInline: order.Port is not null);
        }
        catch (Exception fault)
        {
            // A refusal comes in an event loop, too.
            await new PoolTurn();
            exchange?.Dispose();
            Interlocked.Decrement(ref count);
            if (fault is HttpRequestException or InvalidOperationException
                || (fault is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                throw new IOException($"Node '{link.Name}' is gone.", fault);
            }

            throw;
        }
    }

    private async Task<FrameReader> BeginAsync(
        LinkExchange exchange, ConnectOrder order, CancellationToken cancellationToken)
    {
        await exchange.Writer.SendAsync(FrameKind.Connect, order, LinkJson.Default.ConnectOrder, cancellationToken);
        FrameReader frames = await exchange.ReaderAsync(cancellationToken);
        Frame first = await frames.ReadAsync(cancellationToken)
            ?? throw new LinkException("The node ended a connection without a word.");
        if (first.Kind == FrameKind.Connected)
        {
            return frames;
        }

        RefusalReport refusal = first.Kind == FrameKind.Refused
            ? first.Read(LinkJson.Default.RefusalReport)
            : throw new LinkException($"The node answered the wish for a connection with a frame {first.Kind}.");
        // Of a program that does not listen (yet) the node has a sentence and no error to blame on anybody.
        throw string.IsNullOrEmpty(refusal.Code)
            ? new IOException(refusal.Message)
            : new BerthException(ErrorCatalog.Find(refusal.Code).Error, refusal.Message);
    }

    /// <summary>What was written before gets there, and the node closes its end; one that does not is not waited for.
    /// </summary>
    private async Task CloseAsync(LinkedStream connection, LinkExchange exchange)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(link.Closed);
        Task limit = Task.Delay(LinkProtocol.ClosingLimit, time, over.Token);
        try
        {
            await Task.WhenAny(EndAsync(connection, exchange), limit);
            if (connection.OtherEnd.IsCompleted)
            {
                exchange.Complete();
            }
        }
        finally
        {
            exchange.Dispose();
            Interlocked.Decrement(ref count);
            await over.CancelAsync();
        }
    }

    private static async Task EndAsync(LinkedStream connection, LinkExchange exchange)
    {
        try
        {
            await connection.EndAsync();
        }
        catch (IOException)
        {
            // It is gone already.
            return;
        }

        exchange.EndRequest();
        await connection.OtherEnd;
    }
}
