using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Berth.Node.Linux;

/// <summary>
/// One rule: conditions in the order they are asked, then what happens. What it looks at goes through registers, as
/// nf_tables has it.
/// </summary>
internal sealed class FilterRule
{
    private const uint Verdict = 0;
    private const uint First = 1;

    /// <summary>The first of 16 words of four bytes each.</summary>
    private const uint FirstWord = 8;

    private const uint LinkHeader = 0;
    private const uint NetworkHeader = 1;
    private const uint TransportHeader = 2;
    private const uint KeyProtocol = 1;
    private const uint KeyInput = 6;
    private const uint KeyOutput = 7;
    private const uint KeyFamily = 15;
    private const uint KeyTransport = 16;

    private readonly List<Action<NetlinkMessages>> expressions = [];

    public void Write(NetlinkMessages list)
    {
        foreach (Action<NetlinkMessages> expression in expressions)
        {
            list.Nest(1, expression);
        }
    }

    /// <summary>Device that a packet came in by; with a '*' at the end, all that begin so.</summary>
    public FilterRule From(string device) => Meta(KeyInput).Is(NameOf(device));

    public FilterRule NotFrom(string device) => Meta(KeyInput).Is(NameOf(device), isNot: true);

    public FilterRule To(string device) => Meta(KeyOutput).Is(NameOf(device));

    public FilterRule NotTo(string device) => Meta(KeyOutput).Is(NameOf(device), isNot: true);

    /// <summary>Of an Ethernet frame: 0x0800 for IPv4, 0x0806 for ARP.</summary>
    public FilterRule Carrying(ushort protocol) => Meta(KeyProtocol).Is([(byte)(protocol >> 8), (byte)protocol]);

    /// <summary>IPv4, where a table has both.</summary>
    public FilterRule OfIp4() => Meta(KeyFamily).Is([2]);

    /// <summary>6 for TCP, 17 for UDP, 1 for ICMP.</summary>
    public FilterRule Transport(byte protocol) => Meta(KeyTransport).Is([protocol]);

    public FilterRule ToPort(int port) => Load(TransportHeader, 2, 2).Is([(byte)(port >> 8), (byte)port]);

    /// <summary>The first byte of ICMP: 8 for the question of ping.</summary>
    public FilterRule IcmpType(byte type) => Load(TransportHeader, 0, 1).Is([type]);

    public FilterRule Source(IPNetwork network) => Within(12, network);

    public FilterRule Target(IPNetwork network) => Within(16, network);

    /// <summary>Of a connection that is there, or that belongs to one.</summary>
    public FilterRule Established()
    {
        const uint EstablishedOrRelated = 2 | 4;
        Add("ct", data => data.PutBig(1, First).PutBig(2, 0));
        Mask(BitConverter.GetBytes(EstablishedOrRelated));
        return Is(new byte[4], isNot: true);
    }

    /// <summary>The device, the Ethernet address and the IPv4 address that a frame says it is from, together in a set
    /// (see <see cref="SenderKey"/>).</summary>
    public FilterRule SenderIn(string set, int addressOffset)
    {
        Add("meta", data => data.PutBig(1, FirstWord).PutBig(2, KeyInput));
        Payload(FirstWord + 4, LinkHeader, 6, 6);
        Payload(FirstWord + 6, NetworkHeader, addressOffset, 4);
        Add("lookup", data => data.Put(1, set).PutBig(2, FirstWord));
        return this;
    }

    /// <summary>The same of what an ARP packet says (RFC 826).</summary>
    public FilterRule ArpSenderIn(string set)
    {
        Add("meta", data => data.PutBig(1, FirstWord).PutBig(2, KeyInput));
        Payload(FirstWord + 4, NetworkHeader, 8, 6);
        Payload(FirstWord + 6, NetworkHeader, 14, 4);
        Add("lookup", data => data.Put(1, set).PutBig(2, FirstWord));
        return this;
    }

    /// <summary>Of a VXLAN packet from another machine: that machine, the segment, and the Ethernet address that the
    /// frame inside says it is from, together in a set (see <see cref="TunnelKey"/>).</summary>
    public FilterRule TunnelIn(string set)
    {
        Payload(FirstWord, NetworkHeader, 12, 4);
        Payload(FirstWord + 1, TransportHeader, SegmentOffset, 3);
        Payload(FirstWord + 2, TransportHeader, SegmentOffset + 10, 6);
        Add("lookup", data => data.Put(1, set).PutBig(2, FirstWord));
        return this;
    }

    /// <summary>Of a VXLAN packet: its segment in a set (see <see cref="SegmentKey"/>).</summary>
    public FilterRule SegmentIn(string set)
    {
        Payload(FirstWord, TransportHeader, SegmentOffset, 3);
        Add("lookup", data => data.Put(1, set).PutBig(2, FirstWord));
        return this;
    }

    /// <summary>What came from another machine: that machine's Ethernet address and the part of the subnet that the
    /// IPv4 source is in, together in a set (see <see cref="MachineKey"/>).</summary>
    /// <param name="prefix">Of each part.</param>
    public FilterRule MachineIn(string set, int prefix)
    {
        Payload(FirstWord, LinkHeader, 6, 6);
        Payload(FirstWord + 2, NetworkHeader, 12, 4);
        Mask(MaskOf(prefix), FirstWord + 2);
        Add("lookup", data => data.Put(1, set).PutBig(2, FirstWord));
        return this;
    }

    /// <summary>After the UDP header: a word of flags, three bytes of segment, a reserved one (RFC 7348, section 5).
    /// </summary>
    private const int SegmentOffset = 12;

    public const int TunnelKeyLength = 16;

    public static byte[] TunnelKey(ReadOnlySpan<byte> machine, int segment, ReadOnlySpan<byte> physical)
    {
        byte[] key = new byte[TunnelKeyLength];
        machine.CopyTo(key);
        SegmentKey(segment).CopyTo(key, 4);
        physical.CopyTo(key.AsSpan(8));
        return key;
    }

    public const int SegmentKeyLength = 4;

    public static byte[] SegmentKey(int segment) =>
        [(byte)(segment >> 16), (byte)(segment >> 8), (byte)segment, 0];

    public const int MachineKeyLength = 12;

    public static byte[] MachineKey(ReadOnlySpan<byte> physical, ReadOnlySpan<byte> part)
    {
        byte[] key = new byte[MachineKeyLength];
        physical.CopyTo(key);
        part.CopyTo(key.AsSpan(8));
        return key;
    }

    /// <summary>Length of a <see cref="SenderKey"/>.</summary>
    public const int SenderKeyLength = 28;

    /// <summary>Each part is padded to whole registers.</summary>
    public static byte[] SenderKey(string device, ReadOnlySpan<byte> physical, ReadOnlySpan<byte> address)
    {
        byte[] key = new byte[SenderKeyLength];
        Encoding.UTF8.GetBytes(device, key);
        physical.CopyTo(key.AsSpan(16));
        address.CopyTo(key.AsSpan(24));
        return key;
    }

    public FilterRule Accept() => Decide(1);

    public FilterRule Drop() => Decide(0);

    /// <summary>The packet goes on as if it came from the device it leaves by.</summary>
    public FilterRule Masquerade()
    {
        Add("masq", _ => { });
        return this;
    }

    private FilterRule Within(int offset, IPNetwork network)
    {
        if (network.PrefixLength == 0)
        {
            return this;
        }

        Payload(First, NetworkHeader, offset, 4);
        Mask(MaskOf(network.PrefixLength));
        return Is(network.BaseAddress.GetAddressBytes());
    }

    private static byte[] MaskOf(int prefix)
    {
        byte[] mask = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(mask, uint.MaxValue << (32 - prefix));
        return mask;
    }

    private FilterRule Meta(uint key)
    {
        Add("meta", data => data.PutBig(1, First).PutBig(2, key));
        return this;
    }

    private FilterRule Load(uint header, int offset, int length)
    {
        Payload(First, header, offset, length);
        return this;
    }

    private void Payload(uint register, uint header, int offset, int length) => Add(
        "payload",
        data => data.PutBig(1, register).PutBig(2, header).PutBig(3, (uint)offset).PutBig(4, (uint)length));

    private void Mask(byte[] mask, uint register = First) => Add(
        "bitwise",
        data => data.PutBig(1, register).PutBig(2, register).PutBig(3, (uint)mask.Length)
            .Nest(4, m => m.Put(1, mask)).Nest(5, x => x.Put(1, new byte[mask.Length])));

    private FilterRule Is(byte[] value, bool isNot = false)
    {
        Add("cmp", data => data.PutBig(1, First).PutBig(2, isNot ? 1u : 0u).Nest(3, d => d.Put(1, value)));
        return this;
    }

    private FilterRule Decide(uint verdict)
    {
        Add("immediate", data => data.PutBig(1, Verdict).Nest(2, d => d.Nest(2, v => v.PutBig(1, verdict))));
        return this;
    }

    private void Add(string name, Action<NetlinkMessages> data) =>
        expressions.Add(element => element.Put(1, name).Nest(2, data));

    /// <summary>With the zeros of a whole name, or, for a beginning, without.</summary>
    private static byte[] NameOf(string device)
    {
        const int NameLength = 16;
        if (device.EndsWith('*'))
        {
            return Encoding.UTF8.GetBytes(device[..^1]);
        }

        byte[] name = new byte[NameLength];
        Encoding.UTF8.GetBytes(device, name);
        return name;
    }
}
