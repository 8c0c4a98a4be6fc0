using System.Net;
using System.Net.Sockets;
using Berth.Core.Errors;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>Makes a socket in a network.</summary>
internal delegate Socket SocketMaker(SocketType type, ProtocolType protocol);

/// <summary>
/// A TCP port of the machine that leads to one of a sandbox. Both ends are sockets of this process: it works for the
/// machine's own programs as for others, whatever the machine's rules of forwarding are, and the sandbox needs to trust
/// no packet from outside of its network.
/// </summary>
internal sealed class PortForward : IDisposable
{
    /// <summary>More wait to be accepted.</summary>
    private const int MostConnections = 1024;
    private const int Backlog = 512;
    private const int BufferLength = 64 * 1024;

    private readonly Socket listener;
    private readonly IPEndPoint target;
    private readonly SocketMaker make;
    private readonly CancellationTokenSource closing = new();
    private readonly SemaphoreSlim places = new(MostConnections);

    private PortForward(Socket listener, IPEndPoint target, SocketMaker make)
    {
        this.listener = listener;
        this.target = target;
        this.make = make;
        _ = AcceptLoop.RunAsync(listener, places, ServeAsync, closing.Token);
    }

    /// <summary>Throws BerthException (Conflict) where the port is taken.</summary>
    public static PortForward Open(PublishedPort port, IPEndPoint target, SocketMaker make)
    {
        Socket socket = Bind(port, SocketType.Stream, ProtocolType.Tcp);
        socket.Listen(Backlog);
        return new PortForward(socket, target, make);
    }

    /// <summary>A bound socket of the machine.</summary>
    public static Socket Bind(PublishedPort port, SocketType type, ProtocolType protocol)
    {
        IPAddress address = port.Address ?? (Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any);
        Socket socket = new(address.AddressFamily, type, protocol);
        try
        {
            if (address.AddressFamily == AddressFamily.InterNetworkV6 && port.Address is null)
            {
                socket.DualMode = true;
            }

            socket.Bind(new IPEndPoint(address, port.Host));
            return socket;
        }
        catch (SocketException error)
        {
            socket.Dispose();
            throw new BerthException(
                ErrorCode.Conflict,
                $"Port {port.Host} of {port.Address?.ToString() ?? "the machine"} can't be published: {error.Message}. "
                + "Choose another one, or end what has it.",
                error);
        }
    }

    public void Dispose()
    {
        closing.Cancel();
        listener.Dispose();
    }

    private async Task ServeAsync(Socket client, CancellationToken cancellationToken)
    {
        try
        {
            using (client)
            {
                using Socket server = make(SocketType.Stream, ProtocolType.Tcp);
                client.NoDelay = true;
                server.NoDelay = true;
                await server.ConnectAsync(target, cancellationToken);
                using CancellationTokenSource broken =
                    CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                await Task.WhenAll(
                    CopyAsync(client, server, broken), CopyAsync(server, client, broken));
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or IOException
            or ObjectDisposedException)
        {
            // Nobody listens, or somebody hung up: the other end sees it as its own connection's end.
        }
        finally
        {
            places.Release();
        }
    }

    /// <summary>Until its end, which is passed on: the other direction may go on.</summary>
    private static async Task CopyAsync(Socket from, Socket to, CancellationTokenSource broken)
    {
        byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent(BufferLength);
        try
        {
            while (await from.ReceiveAsync(buffer, SocketFlags.None, broken.Token) is > 0 and int read)
            {
                for (int sent = 0; sent < read;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent), SocketFlags.None, broken.Token);
                }
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch
        {
            await broken.CancelAsync();
            throw;
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
