using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Node.Linux;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Hears what is sent to a UDP port in a namespace.</summary>
internal sealed class Listener : IDisposable
{
    private readonly Socket socket;
    private readonly List<string> heard = [];

    public Listener(string space, int port)
    {
        using FileDescriptor own = new(Libc.Open(space, Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        socket = NetworkNamespace.MakeSocket(own, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, port));
    }

    /// <summary>What it has heard.</summary>
    public string[] All
    {
        get
        {
            byte[] buffer = new byte[2048];
            while (socket.Available > 0)
            {
                heard.Add(Encoding.ASCII.GetString(buffer, 0, socket.Receive(buffer)));
            }

            return [.. heard];
        }
    }

    public void Dispose() => socket.Dispose();
}
