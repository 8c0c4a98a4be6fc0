using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A datagram within IPv4 within Ethernet within VXLAN (RFC 7348, section 5), written by hand: what somebody
/// sends who wants to be taken for another.</summary>
internal sealed record TunnelPacket(int Segment, IPNetwork FromPart, IPAddress From, IPNetwork ToPart, IPEndPoint To)
{
    public const int Port = 4789;

    public byte[] With(string text)
    {
        byte[] content = Encoding.ASCII.GetBytes(text);
        byte[] packet = new byte[8 + 14 + 20 + 8 + content.Length];
        packet[0] = 8;
        BinaryPrimitives.WriteInt32BigEndian(packet.AsSpan(4), Segment << 8);
        Span<byte> frame = packet.AsSpan(8);
        MachineOf(ToPart).CopyTo(frame);
        MachineOf(FromPart).CopyTo(frame[6..]);
        frame[12] = 8;
        Span<byte> ip = frame[14..];
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)ip.Length);
        ip[8] = 64;
        ip[9] = 17;
        From.GetAddressBytes().CopyTo(ip[12..]);
        To.Address.GetAddressBytes().CopyTo(ip[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], ChecksumOf(ip[..20]));
        Span<byte> udp = ip[20..];
        BinaryPrimitives.WriteUInt16BigEndian(udp, 1000);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)To.Port);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        content.CopyTo(udp[8..]);
        return packet;
    }

    /// <summary>The Ethernet address of the machine that has a part.</summary>
    private static byte[] MachineOf(IPNetwork part) => [0x02, 0xb1, .. part.BaseAddress.GetAddressBytes()];

    /// <summary>RFC 1071.</summary>
    public static ushort ChecksumOf(ReadOnlySpan<byte> header)
    {
        uint sum = 0;
        for (int i = 0; i < header.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        }

        return (ushort)~((sum & 0xffff) + (sum >> 16));
    }
}
