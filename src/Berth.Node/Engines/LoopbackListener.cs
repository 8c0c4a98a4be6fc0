using System.Net;
using System.Net.Sockets;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>A port of a sandbox's loopback that this process listens on: the programs inside reach it, and nobody
/// else.</summary>
public sealed class LoopbackListener : IDisposable
{
    /// <summary>Connections that wait to be accepted; a program that makes more waits itself.</summary>
    private const int Backlog = 16;

    private readonly Socket socket;

    private LoopbackListener(Socket socket) => this.socket = socket;

    /// <summary>Throws BerthException (NodeFault; InvalidRequest for the machine's own network).</summary>
    /// <param name="init">A process of the sandbox, whose network it is.</param>
    public static LoopbackListener Open(PidHandle init, NetworkMode network, int port)
    {
        if (network == NetworkMode.Host)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "In the machine's own network nobody listens for a program alone.");
        }

        Socket? socket = null;
        try
        {
            socket = new Socket(new SafeSocketHandle(
                    NetworkNamespace.MakeSocket(init.Pid).Release(), ownsHandle: true));
            // After the socket was made: the number may have been another process's by then.
            if (init.Exited.IsCompleted)
            {
                throw new IOException("the sandbox is gone");
            }

            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            socket.Listen(Backlog);
            return new LoopbackListener(socket);
        }
        catch (Exception error) when (error is SocketException or IOException or LinuxException)
        {
            socket?.Dispose();
            throw new BerthException(
                ErrorCode.NodeFault, $"Port {port} of a sandbox could not be listened on: {error.Message}.", error);
        }
    }

    /// <summary>Throws IOException once it was disposed.</summary>
    public async Task<Stream> AcceptAsync(CancellationToken cancellationToken)
    {
        try
        {
            Socket accepted = await socket.AcceptAsync(cancellationToken);
            accepted.NoDelay = true;
            return new NetworkStream(accepted, ownsSocket: true);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw new IOException("The sandbox is gone.", error);
        }
    }

    public void Dispose() => socket.Dispose();
}
