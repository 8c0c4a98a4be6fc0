using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Ethernet frames of a program that wants to be taken for another, each marked, and one that is honest.
/// </summary>
internal sealed record SpoofedFrames(byte[] Own, byte[] Other, IPAddress Liar, IPAddress Victim, IPAddress Gateway)
{
    /// <summary>In every forged frame.</summary>
    public const string Mark = "forged";

    private const ushort Ip4 = 0x0800;
    private const ushort Arp = 0x0806;
    private const ushort Ip6 = 0x86dd;
    private const ushort Vlan = 0x8100;

    private static readonly byte[] Everybody = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

    public byte[] Honest => Ethernet(Own, Ip4, Datagram(Liar, Victim, 1000, 1001, "honest"));

    public IReadOnlyList<byte[]> Forged =>
    [
        // "The gateway is here" (RFC 826), asked by nobody; the same under another sender; the same of the victim.
        Ethernet(Own, Arp, Said(2, Own, Gateway, Victim)),
        Ethernet(Other, Arp, Said(2, Other, Gateway, Victim)),
        Ethernet(Own, Arp, Said(2, Other, Liar, Victim)),
        Ethernet(Own, Arp, Said(1, Own, Victim, Victim)),
        // Under another address, of either kind.
        Ethernet(Other, Ip4, Datagram(Liar, Victim, 1000, 1001, Mark)),
        Ethernet(Own, Ip4, Datagram(Gateway, Victim, 53, 1001, Mark)),
        Ethernet(Own, Ip4, Datagram(IPAddress.Parse("10.77.0.2"), Victim, 1000, 1001, Mark)),
        Ethernet(Own, Ip4, Datagram(IPAddress.Any, Victim, 1000, 1001, Mark)),
        // "These are your addresses" (RFC 2131), and "give me some".
        Ethernet(Own, Ip4, Datagram(Liar, IPAddress.Broadcast, 67, 68, Mark)),
        Ethernet(Own, Ip4, Datagram(Liar, Victim, 68, 67, Mark)),
        // "I am the router" (RFC 4861, section 4.2).
        Ethernet(Own, Ip6, Advertisement()),
        // What is no IPv4 by its first word, and holds some.
        Ethernet(Own, Vlan, [0, 0, 8, 0, .. Datagram(Gateway, Victim, 53, 1001, Mark)]),
        Ethernet(Own, 0x88b5, Encoding.ASCII.GetBytes(Mark)),
    ];

    private static byte[] Ethernet(byte[] from, ushort protocol, byte[] content) =>
        [.. Everybody, .. from, (byte)(protocol >> 8), (byte)protocol, .. content];

    private static byte[] Said(byte operation, byte[] physical, IPAddress address, IPAddress to) =>
    [
        0, 1, 8, 0, 6, 4, 0, operation, .. physical, .. address.GetAddressBytes(), .. Everybody,
        .. to.GetAddressBytes(), .. Encoding.ASCII.GetBytes(Mark),
    ];

    private static byte[] Datagram(IPAddress from, IPAddress to, int fromPort, int toPort, string text)
    {
        byte[] packet = new byte[28 + text.Length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = 17;
        from.GetAddressBytes().CopyTo(packet, 12);
        to.GetAddressBytes().CopyTo(packet, 16);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), TunnelPacket.ChecksumOf(packet.AsSpan(0, 20)));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), (ushort)fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), (ushort)toPort);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(24), (ushort)(8 + text.Length));
        Encoding.ASCII.GetBytes(text).CopyTo(packet, 28);
        return packet;
    }

    private static byte[] Advertisement()
    {
        byte[] text = Encoding.ASCII.GetBytes(Mark);
        byte[] packet = new byte[40 + 16 + text.Length];
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(16 + text.Length));
        packet[6] = 58;
        packet[7] = 255;
        IPAddress.Parse("fe80::1").GetAddressBytes().CopyTo(packet, 8);
        IPAddress.Parse("ff02::1").GetAddressBytes().CopyTo(packet, 24);
        packet[40] = 134;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(46), 1800);
        text.CopyTo(packet, 56);
        return packet;
    }
}
