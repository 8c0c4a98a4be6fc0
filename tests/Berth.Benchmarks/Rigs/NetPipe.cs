using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Berth.Benchmarks.Rigs;

/// <summary>Bytes from one program to another over TCP, each a process of its own in a network of its own.</summary>
internal static class NetPipe
{
    private const int Size = 256 * 1024;

    /// <summary>Takes connections, one after the other, and all that comes over them, for ever.</summary>
    public static async Task SinkAsync(int port)
    {
        using TcpListener listener = new(IPAddress.Any, port);
        listener.Start();
        byte[] buffer = new byte[Size];
        while (true)
        {
            using Socket client = await listener.AcceptSocketAsync();
            while (await client.ReceiveAsync(buffer.AsMemory()) > 0)
            {
            }
        }
    }

    /// <summary>Sends for so many seconds and prints how many bytes a second were taken.</summary>
    public static void Source(string address, int port, double seconds)
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(IPAddress.Parse(address), port);
        byte[] buffer = new byte[Size];
        long start = TimeProvider.System.GetTimestamp();
        long sent = 0;
        while (TimeProvider.System.GetElapsedTime(start).TotalSeconds < seconds)
        {
            sent += socket.Send(buffer);
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{sent / TimeProvider.System.GetElapsedTime(start).TotalSeconds:0}"));
    }
}
