using System.Buffers.Binary;

namespace Berth.Init.Protocol;

/// <summary>What precedes every payload.</summary>
public readonly record struct FrameHeader(FrameType Type, int Length)
{
    /// <summary>
    /// False when the type is unknown or the length beyond the limit: the stream can't be trusted any more.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, out FrameHeader header)
    {
        header = default;
        if (bytes.Length != FrameLimits.HeaderBytes)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        var type = (FrameType)bytes[4];
        bool known = type is >= FrameType.Boot and <= FrameType.Lane
            or >= FrameType.Ready and <= FrameType.ExecExited;
        if (!known || length < 0 || length > FrameLimits.MaxPayload)
        {
            return false;
        }

        header = new FrameHeader(type, length);
        return true;
    }
}
