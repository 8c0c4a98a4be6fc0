using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Node.Linux;

/// <summary>
/// Messages to the kernel by netlink(7), one after the other in one buffer, with their attributes
/// (Documentation/userspace-api/netlink/intro.rst). Each message asks for an acknowledgement.
/// </summary>
internal sealed class NetlinkMessages
{
    public const ushort Request = 1;
    public const ushort Acknowledge = 4;
    public const ushort Dump = 0x300;
    public const ushort Replace = 0x100;
    public const ushort Exclusive = 0x200;
    public const ushort Create = 0x400;
    public const ushort Append = 0x800;

    private const int HeaderLength = 16;
    private const ushort NestedFlag = 0x8000;

    private byte[] buffer = new byte[1024];
    private int message;

    public int Length { get; private set; }

    /// <summary>How many of them will be acknowledged.</summary>
    public int Acknowledged { get; private set; }

    public ReadOnlySpan<byte> Bytes => buffer.AsSpan(0, Length);

    /// <summary>Begins a message; what is written until <see cref="End"/> is its content.</summary>
    public NetlinkMessages Begin(ushort type, ushort flags)
    {
        message = Length;
        Span<byte> header = Take(HeaderLength);
        MemoryMarshal.Write(header[4..], type);
        MemoryMarshal.Write(header[6..], (ushort)(flags | Request));
        MemoryMarshal.Write(header[8..], (uint)Acknowledged + 1);
        if ((flags & Acknowledge) != 0)
        {
            Acknowledged++;
        }

        return this;
    }

    public NetlinkMessages End()
    {
        MemoryMarshal.Write(buffer.AsSpan(message), Length - message);
        return this;
    }

    public NetlinkMessages Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Take(Align(bytes.Length)));
        return this;
    }

    public NetlinkMessages Put(ushort type, ReadOnlySpan<byte> value)
    {
        Span<byte> place = Take(4 + Align(value.Length));
        MemoryMarshal.Write(place, (ushort)(4 + value.Length));
        MemoryMarshal.Write(place[2..], type);
        value.CopyTo(place[4..]);
        return this;
    }

    /// <summary>In the machine's own byte order.</summary>
    public NetlinkMessages Put(ushort type, uint value) => Put(type, MemoryMarshal.AsBytes(new Span<uint>(ref value)));

    /// <summary>In the network's byte order.</summary>
    public NetlinkMessages PutBig(ushort type, uint value) => Put(type, BinaryPrimitives.ReverseEndianness(value));

    /// <summary>With the zero that ends it.</summary>
    public NetlinkMessages Put(ushort type, string value) => Put(type, Encoding.UTF8.GetBytes(value + "\0"));

    public NetlinkMessages Nest(ushort type, Action<NetlinkMessages> inner)
    {
        int begin = Length;
        Take(4);
        inner(this);
        Span<byte> header = buffer.AsSpan(begin);
        MemoryMarshal.Write(header, (ushort)(Length - begin));
        MemoryMarshal.Write(header[2..], (ushort)(type | NestedFlag));
        return this;
    }

    private static int Align(int length) => (length + 3) & ~3;

    private Span<byte> Take(int length)
    {
        if (Length + length > buffer.Length)
        {
            Array.Resize(ref buffer, Math.Max(buffer.Length * 2, Length + length));
        }

        Span<byte> place = buffer.AsSpan(Length, length);
        place.Clear();
        Length += length;
        return place;
    }
}
