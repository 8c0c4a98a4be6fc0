using System.Buffers;
using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Berth.Server.Loops;

/// <summary>Kestrel's connections over TCP, each watched by an <see cref="EventLoop"/>.</summary>
/// <param name="listen">Makes a listening socket.</param>
/// <param name="memory">For what comes and goes.</param>
/// <param name="usesPool">Whether what waits for a connection's bytes goes on in the thread pool, until its
/// <see cref="LoopScheduler"/> is told otherwise.</param>
internal sealed class LoopTransport(Func<EndPoint, Socket> listen, MemoryPool<byte> memory, bool usesPool = false)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    /// <summary>Connections that nobody has accepted yet.</summary>
    private const int Backlog = 512;

    /// <summary>Until the next try where the kernel has no descriptor for a connection.</summary>
    private static readonly TimeSpan NoRoom = TimeSpan.FromMilliseconds(10);

    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        try
        {
            Socket socket = listen(endpoint);
            try
            {
                socket.Listen(Backlog);
                return ValueTask.FromResult<IConnectionListener>(new Listener(socket, memory, usesPool));
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(error.Message, error);
        }
    }

    private sealed class Listener(Socket listening, MemoryPool<byte> memory, bool usesPool) : IConnectionListener
    {
        public EndPoint EndPoint { get; } = listening.LocalEndPoint!;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            while (true)
            {
                Socket? accepted = null;
                try
                {
                    accepted = await listening.AcceptAsync(cancellationToken);
                    accepted.NoDelay = true;
                    LoopConnection connection = new(accepted, EventLoop.Any(), memory, usesPool);
                    connection.Start();
                    return connection;
                }
                catch (ObjectDisposedException) when (accepted is null)
                {
                    // Unbound.
                    return null;
                }
                catch (SocketException error) when (
                    accepted is null && error.SocketErrorCode == SocketError.OperationAborted)
                {
                    return null;
                }
                catch (Exception error) when (error is Win32Exception or ObjectDisposedException)
                {
                    // It was reset while it waited in the backlog, or there is no room for it.
                    accepted?.Dispose();
                    if (accepted is null)
                    {
                        await Task.Delay(NoRoom, CancellationToken.None);
                    }
                }
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            listening.Dispose();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync()
        {
            listening.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
