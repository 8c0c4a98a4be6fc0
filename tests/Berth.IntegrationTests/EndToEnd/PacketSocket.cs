using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Node.Linux;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Whole Ethernet frames in a namespace (packet(7)): all that pass by, and such as no program may send.
/// </summary>
internal sealed class PacketSocket : IAsyncDisposable
{
    private const int EveryProtocol = 0x0003;
    private const int Bytes = 16 * 1024 * 1024;

    private readonly Socket socket;
    private readonly Predicate<byte[]> isOfInterest;
    private readonly List<byte[]> frames = [];
    private readonly Task reading;

    /// <param name="space">Path of a namespace.</param>
    /// <param name="isOfInterest">Frames that are kept.</param>
    public PacketSocket(string space, Predicate<byte[]> isOfInterest)
    {
        const int SocketLevel = 1;
        const int ReceiveBufferForce = 33;
        this.isOfInterest = isOfInterest;
        using FileDescriptor there = new(Libc.Open(space, Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        socket = NetworkNamespace.Within(there, () => new Socket(
            AddressFamily.Packet, SocketType.Raw,
            (ProtocolType)BinaryPrimitives.ReverseEndianness((ushort)EveryProtocol)));
        socket.SetRawSocketOption(SocketLevel, ReceiveBufferForce, BitConverter.GetBytes(Bytes));
        reading = Task.Run(ReadAsync);
    }

    /// <summary>What has passed by, in either direction.</summary>
    public IReadOnlyList<byte[]> All
    {
        get
        {
            lock (frames)
            {
                return [.. frames];
            }
        }
    }

    /// <param name="device">Index of a device of the namespace.</param>
    public void Send(int device, byte[] frame) => socket.SendTo(frame, new DeviceEndPoint(device));

    public async ValueTask DisposeAsync()
    {
        socket.Dispose();
        await reading;
    }

    /// <summary>Of an Ethernet frame with IPv4 and UDP: the ports' larger one's; null for anything else.</summary>
    public static (IPAddress From, IPAddress To, int Port)? DatagramOf(byte[] frame)
    {
        const byte Udp = 17;
        if (frame.Length < 42 || frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45 || frame[23] != Udp)
        {
            return null;
        }

        return (new IPAddress(frame.AsSpan(26, 4)), new IPAddress(frame.AsSpan(30, 4)),
            BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(36)));
    }

    public static bool Holds(byte[] frame, string text) =>
        frame.AsSpan().IndexOf(Encoding.ASCII.GetBytes(text)) >= 0;

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[70_000];
        try
        {
            while (true)
            {
                byte[] frame = buffer[..await socket.ReceiveAsync(buffer)];
                if (isOfInterest(frame))
                {
                    lock (frames)
                    {
                        frames.Add(frame);
                    }
                }
            }
        }
        catch (Exception over) when (over is SocketException or ObjectDisposedException)
        {
            // The end.
        }
    }

    /// <summary>struct sockaddr_ll of a device.</summary>
    private sealed class DeviceEndPoint(int device) : EndPoint
    {
        private const int Length = 20;

        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize()
        {
            SocketAddress address = new(AddressFamily.Packet, Length);
            for (int i = 0; i < sizeof(int); i++)
            {
                address[4 + i] = (byte)(device >> (8 * i));
            }

            return address;
        }
    }
}
