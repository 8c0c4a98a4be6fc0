namespace Berth.Init.Protocol;

/// <summary>
/// The seccomp filter every process of the sandbox will run under, as an array of struct sock_filter.
/// </summary>
public static class BootFrame
{
    public static ReadOnlyMemory<byte> Encode(ReadOnlySpan<byte> filter)
    {
        FrameWriter writer = new(FrameType.Boot, filter.Length + 16);
        writer.WriteUInt16(FrameLimits.Version);
        writer.WriteBlob(filter);
        return writer.Finish();
    }

    /// <summary>
    /// False when it is malformed, of another version, or without a filter: a sandbox never runs unfiltered.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> payload, out ReadOnlySpan<byte> filter)
    {
        FrameReader reader = new(payload);
        filter = default;
        return reader.TryReadUInt16(out ushort version)
            && version == FrameLimits.Version
            && reader.TryReadBlob(FrameLimits.MaxFilter, out filter)
            && filter.Length > 0
            && filter.Length % 8 == 0
            && reader.AtEnd;
    }
}
