using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Berth.Core.Resources;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>A connection to a port of a sandbox's loopback, from outside of it.</summary>
internal static class LoopbackConnection
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(1);

    /// <summary>A stream over a socket with which nothing asynchronous was done yet. Throws IOException when nothing
    /// listens there or the sandbox is gone.</summary>
    /// <param name="init">A process of the sandbox, whose network it is.</param>
    public static async Task<Stream> OpenAsync(
        PidHandle init, NetworkMode network, int port, CancellationToken cancellationToken)
    {
        using FileDescriptor descriptor = network == NetworkMode.Host
            ? Sockets.MakeTcp()
            : NetworkNamespace.MakeSocket(init.Pid);
        // After the socket was made: the number may have been another process's by then.
        if (init.Exited.IsCompleted)
        {
            throw new IOException("The sandbox is gone.");
        }

        descriptor.SetNonBlocking();
        try
        {
            IPEndPoint address = new(IPAddress.Loopback, port);
            Sockets.BeginConnect(descriptor, address);
            // On a loopback the connection is there when connect(2) returns, unless the program's backlog is full.
            while (!Sockets.IsConnected(descriptor, address))
            {
                await Task.Delay(Pause, cancellationToken);
            }
        }
        catch (LinuxException error)
        {
            throw new IOException(
                $"Nothing listens on port {port}: {Marshal.GetPInvokeErrorMessage(error.Errno)}", error);
        }

        Socket socket = new(new SafeSocketHandle(descriptor.Release(), ownsHandle: true));
        try
        {
            socket.NoDelay = true;
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException error)
        {
            socket.Dispose();
            throw new IOException($"The connection to port {port} broke: {error.Message}", error);
        }
    }
}
