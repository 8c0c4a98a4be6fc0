using System.Buffers.Binary;

namespace Berth.Init.Protocol;

/// <summary>
/// Reads one payload front to back. Nothing is believed: each read says whether it was possible, and after a false
/// every further read is false too.
/// </summary>
public ref struct FrameReader(ReadOnlySpan<byte> payload)
{
    private readonly ReadOnlySpan<byte> payload = payload;
    private int position;
    private bool broken;

    /// <summary>Whether everything was read and nothing is left over.</summary>
    public readonly bool AtEnd => !broken && position == payload.Length;

    public bool TryReadByte(out byte value)
    {
        bool taken = TryTake(sizeof(byte), out ReadOnlySpan<byte> bytes);
        value = taken ? bytes[0] : (byte)0;
        return taken;
    }

    public bool TryReadUInt16(out ushort value)
    {
        bool taken = TryTake(sizeof(ushort), out ReadOnlySpan<byte> bytes);
        value = taken ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : (ushort)0;
        return taken;
    }

    public bool TryReadInt32(out int value)
    {
        bool taken = TryTake(sizeof(int), out ReadOnlySpan<byte> bytes);
        value = taken ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : 0;
        return taken;
    }

    public bool TryReadInt64(out long value)
    {
        bool taken = TryTake(sizeof(long), out ReadOnlySpan<byte> bytes);
        value = taken ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;
        return taken;
    }

    /// <summary>Bytes of any content, behind a u32 length of at most <paramref name="limit"/>.</summary>
    public bool TryReadBlob(int limit, out ReadOnlySpan<byte> value)
    {
        value = default;
        return TryReadLength(limit, out int length) && TryTake(length, out value);
    }

    /// <summary>
    /// Text for a system call: u32 length, that many bytes without NUL, then one NUL, so that the receiver can hand
    /// the kernel a pointer into the frame.
    /// </summary>
    public bool TryReadText(int limit, out TextSlice value)
    {
        value = default;
        if (!TryReadLength(limit, out int length))
        {
            return false;
        }

        int offset = position;
        if (!TryTake(length, out ReadOnlySpan<byte> text) || !TryReadByte(out byte end) || end != 0
            || text.Contains((byte)0))
        {
            broken = true;
            return false;
        }

        value = new TextSlice(offset, length);
        return true;
    }

    private bool TryReadLength(int limit, out int length)
    {
        if (TryReadInt32(out length) && length >= 0 && length <= limit)
        {
            return true;
        }

        broken = true;
        return false;
    }

    private bool TryTake(int length, out ReadOnlySpan<byte> bytes)
    {
        if (broken || length > payload.Length - position)
        {
            broken = true;
            bytes = default;
            return false;
        }

        bytes = payload.Slice(position, length);
        position += length;
        return true;
    }
}

/// <summary>Where in a payload a text lies; the byte after it is NUL.</summary>
public readonly record struct TextSlice(int Offset, int Length);
