using System.Net;
using System.Net.Sockets;
using Berth.Core.Resources;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>A connection to a port of a sandbox's loopback, from outside of it.</summary>
internal static class LoopbackConnection
{
    /// <summary>Throws IOException when nothing listens there or the sandbox is gone.</summary>
    /// <param name="init">A process of the sandbox, whose network it is.</param>
    public static async Task<Stream> OpenAsync(
        PidHandle init, NetworkMode network, int port, CancellationToken cancellationToken)
    {
        Socket socket = network == NetworkMode.Host
            ? new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true }
            : NetworkNamespace.MakeSocket(init.Pid);
        try
        {
            // After the socket was made: the number may have been another process's by then.
            if (init.Exited.IsCompleted)
            {
                throw new IOException("The sandbox is gone.");
            }

            await socket.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException error)
        {
            socket.Dispose();
            throw new IOException($"Nothing listens on port {port}: {error.Message}", error);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
