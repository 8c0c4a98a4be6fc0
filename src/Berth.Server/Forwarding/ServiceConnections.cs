using System.Collections.Concurrent;

namespace Berth.Server.Forwarding;

/// <summary>Connections to one program, kept open between calls.</summary>
/// <param name="most">Kept at most.</param>
internal sealed class ServiceConnections(Func<CancellationToken, Task<Stream>> connect, int most) : IDisposable
{
    private readonly ConcurrentStack<ServiceConnection> idle = new();
    private volatile bool disposed;

    /// <summary>The caller gives it back or disposes it.</summary>
    /// <param name="fresh">One that was not used before.</param>
    /// <exception cref="IOException">Nothing listens.</exception>
    public async ValueTask<ServiceConnection> TakeAsync(bool fresh, CancellationToken cancellationToken)
    {
        while (!fresh && idle.TryPop(out ServiceConnection? known))
        {
            if (known.IsQuiet)
            {
                return known;
            }

            known.Dispose();
        }

        return new ServiceConnection(await connect(cancellationToken));
    }

    public void GiveBack(ServiceConnection connection)
    {
        connection.IsUsed = true;
        if (disposed || idle.Count >= most)
        {
            connection.Dispose();
            return;
        }

        idle.Push(connection);
        if (disposed)
        {
            Dispose();
        }
    }

    public void Dispose()
    {
        disposed = true;
        while (idle.TryPop(out ServiceConnection? connection))
        {
            connection.Dispose();
        }
    }
}
