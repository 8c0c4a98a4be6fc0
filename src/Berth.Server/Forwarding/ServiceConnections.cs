using System.Collections.Concurrent;
using Berth.Server.Loops;

namespace Berth.Server.Forwarding;

/// <summary>
/// Connections to one program, kept open between calls. A call gets one of the event loop that it is on, if there is
/// any, so that its answer comes back in the same thread.
/// </summary>
/// <param name="most">Kept at most.</param>
internal sealed class ServiceConnections(Func<CancellationToken, Task<Stream>> connect, int most) : IDisposable
{
    private readonly ConcurrentStack<ServiceConnection>[] idle =
        [.. Enumerable.Range(0, EventLoop.Count).Select(_ => new ConcurrentStack<ServiceConnection>())];

    private int count;
    private volatile bool disposed;

    /// <summary>The caller gives it back or disposes it.</summary>
    /// <param name="fresh">One that was not used before.</param>
    /// <exception cref="IOException">Nothing listens.</exception>
    public ValueTask<ServiceConnection> TakeAsync(bool fresh, CancellationToken cancellationToken)
    {
        EventLoop loop = EventLoop.Any();
        while (!fresh && TakeIdle(loop.Index) is { } known)
        {
            if (known.IsQuiet)
            {
                return new ValueTask<ServiceConnection>(known);
            }

            known.Dispose();
        }

        return ConnectAsync(loop, cancellationToken);
    }

    public void GiveBack(ServiceConnection connection)
    {
        connection.Keep();
        if (disposed || Interlocked.Increment(ref count) > most)
        {
            if (!disposed)
            {
                Interlocked.Decrement(ref count);
            }

            connection.Dispose();
            return;
        }

        idle[connection.Loop?.Index ?? 0].Push(connection);
        if (disposed)
        {
            Dispose();
        }
    }

    public void Dispose()
    {
        disposed = true;
        while (TakeIdle(0) is { } connection)
        {
            connection.Dispose();
        }
    }

    private ServiceConnection? TakeIdle(int first)
    {
        for (int i = 0; i < idle.Length; i++)
        {
            if (idle[(first + i) % idle.Length].TryPop(out ServiceConnection? connection))
            {
                Interlocked.Decrement(ref count);
                return connection;
            }
        }

        return null;
    }

    private async ValueTask<ServiceConnection> ConnectAsync(EventLoop loop, CancellationToken cancellationToken) =>
        new(LoopStream.Over(await connect(cancellationToken), loop));
}
