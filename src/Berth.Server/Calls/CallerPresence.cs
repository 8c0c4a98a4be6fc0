using System.Net.Sockets;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Whether the other end of a request's connection has gone, asked of the kernel: while nothing is read from a
/// connection, because what came is not taken yet, nobody else tells.
/// </summary>
internal static class CallerPresence
{
    // getsockopt(IPPROTO_TCP, TCP_INFO), tcp(7); the first byte is the state (linux/tcp.h, net/tcp_states.h).
    private const int Tcp = 6;
    private const int TcpInfo = 11;
    private const byte Established = 1;

    public static bool IsGone(HttpContext context)
    {
        if (context.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket)
        {
            return false;
        }

        Span<byte> state = stackalloc byte[1];
        try
        {
            return socket.GetRawSocketOption(Tcp, TcpInfo, state) == 1 && state[0] != Established;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return true;
        }
    }
}
