using System.Net;
using System.Net.Sockets;
using Berth.Core.Streams;

namespace Berth.Node.Linux;

/// <summary>
/// A connection over a stream socket that a <see cref="ReadinessPoller"/> watches: who waits for it goes on in the
/// thread that found it ready, and no other one is woken for that. One reader and one writer at a time. Disposing it
/// ends both directions; what was sent before still arrives, and what waits fails with ObjectDisposedException.
/// </summary>
public sealed class PolledSocket : SequentialStream
{
    private readonly FileDescriptor socket;
    private readonly PolledDescriptor descriptor;
    private int disposed;

    /// <summary>Takes ownership of the socket, which nobody else watches.</summary>
    private PolledSocket(FileDescriptor socket, ReadinessPoller poller)
    {
        this.socket = socket;
        descriptor = new PolledDescriptor(socket, poller, isConnection: true);
    }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    /// <summary>Of this end. Throws SocketException where the connection is gone.</summary>
    public EndPoint? LocalEndPoint
    {
        get
        {
            using Socket view = new(new SafeSocketHandle(socket.Number, ownsHandle: false));
            return view.LocalEndPoint;
        }
    }

    /// <summary>The same connection where a socket is beneath it, else the stream itself.</summary>
    /// <param name="stream">Is not used any more then. Nothing asynchronous was done with its socket: the runtime would
    /// go on watching it, and wake a thread for every edge.</param>
    public static Stream Over(Stream stream, ReadinessPoller poller) =>
        stream is NetworkStream network ? Over(network.Socket, poller) : stream;

    /// <summary>The same of a socket.</summary>
    public static PolledSocket Over(Socket socket, ReadinessPoller poller)
    {
        using (socket)
        {
            return new PolledSocket(Sockets.Duplicate(socket), poller);
        }
    }

    /// <summary>Connects to the first of these addresses that answers, without Nagle's delay. Throws IOException, with
    /// the reason of the last.</summary>
    /// <param name="addresses">At least one.</param>
    public static async Task<PolledSocket> ConnectAsync(
        IReadOnlyList<IPEndPoint> addresses, ReadinessPoller poller, CancellationToken cancellationToken)
    {
        for (int i = 0; ; i++)
        {
            try
            {
                return await ConnectAsync(addresses[i], poller, cancellationToken);
            }
            catch (LinuxException) when (i + 1 < addresses.Count)
            {
                // The next one may be reached.
                continue;
            }
        }
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        descriptor.ReadAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        descriptor.WriteAsync(buffer, cancellationToken);

    /// <summary>Says that no more is written here; what comes is still read. Nothing happens where the connection is
    /// gone.</summary>
    public void EndWriting() => ShutDown(Libc.SHUT_WR);

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref disposed, 1) == 0)
        {
            // First, or who reads would take this for the other end's.
            descriptor.Close();
            ShutDown(Libc.SHUT_RDWR);
            descriptor.Dispose();
        }

        base.Dispose(disposing);
    }

    private static async Task<PolledSocket> ConnectAsync(
        IPEndPoint address, ReadinessPoller poller, CancellationToken cancellationToken)
    {
        PolledSocket connecting = new(Sockets.MakeTcp(address.AddressFamily), poller);
        try
        {
            Sockets.SendAtOnce(connecting.socket);
            Sockets.BeginConnect(connecting.socket, address);
            while (!Sockets.IsConnected(connecting.socket, address))
            {
                await connecting.descriptor.WaitWritableAsync(cancellationToken);
            }

            return connecting;
        }
        catch
        {
            await connecting.DisposeAsync();
            throw;
        }
    }

    private void ShutDown(int how)
    {
        try
        {
            // Fails where the other end has closed or reset it, which is what was wanted.
            _ = Libc.Shutdown(socket, how);
        }
        catch (ObjectDisposedException)
        {
            // It was closed here.
            return;
        }
    }
}
