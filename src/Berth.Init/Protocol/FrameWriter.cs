using System.Buffers.Binary;

namespace Berth.Init.Protocol;

/// <summary>
/// Builds one frame, header included. The caller has checked the limits; a frame that breaks them is a defect here.
/// </summary>
public sealed class FrameWriter
{
    private byte[] buffer;
    private int length = FrameLimits.HeaderBytes;

    public FrameWriter(FrameType type, int sizeHint = 64)
    {
        buffer = new byte[FrameLimits.HeaderBytes + sizeHint];
        buffer[4] = (byte)type;
    }

    public void WriteByte(byte value) => Take(sizeof(byte))[0] = value;

    public void WriteUInt16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(sizeof(ushort)), value);

    public void WriteInt32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Take(sizeof(int)), value);

    public void WriteInt64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(sizeof(long)), value);

    public void WriteBlob(ReadOnlySpan<byte> value)
    {
        WriteInt32(value.Length);
        value.CopyTo(Take(value.Length));
    }

    public void WriteText(ReadOnlySpan<byte> value)
    {
        WriteBlob(value);
        WriteByte(0);
    }

    /// <summary>The finished frame; the writer must not be used afterwards.</summary>
    public ReadOnlyMemory<byte> Finish()
    {
        int payload = length - FrameLimits.HeaderBytes;
        if (payload > FrameLimits.MaxPayload)
        {
            throw new InvalidOperationException("A frame exceeds the protocol's largest payload.");
        }

        BinaryPrimitives.WriteInt32LittleEndian(buffer, payload);
        return buffer.AsMemory(0, length);
    }

    private Span<byte> Take(int count)
    {
        if (count > buffer.Length - length)
        {
            Array.Resize(ref buffer, Math.Max(buffer.Length * 2, length + count));
        }

        Span<byte> taken = buffer.AsSpan(length, count);
        length += count;
        return taken;
    }
}
