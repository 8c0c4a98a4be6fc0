namespace Berth.Init.Protocol;

/// <summary>What every sandbox of an outer container is like.</summary>
/// <param name="Capabilities">Bit n stands for capability n (capability.h): all that a sandbox may have.</param>
/// <param name="Writable">Bytes of the writable layer.</param>
/// <param name="WritableFiles">Files and folders of the writable layer.</param>
/// <param name="SharedMemory">Bytes of /dev/shm.</param>
/// <param name="Hidden">Absolute paths below /proc that show nothing.</param>
/// <param name="ReadOnly">Absolute paths below /proc that can't be written.</param>
public sealed record OuterFrame(
    long Capabilities, long Writable, long WritableFiles, long SharedMemory, TextSlice[] Hidden, TextSlice[] ReadOnly)
{
    public static ReadOnlyMemory<byte> Encode(
        long capabilities, long writable, long writableFiles, long sharedMemory, IReadOnlyList<byte[]> hidden,
        IReadOnlyList<byte[]> readOnly)
    {
        FrameWriter writer = new(FrameType.Outer, 1024);
        writer.WriteUInt16(FrameLimits.Version);
        writer.WriteInt64(capabilities);
        writer.WriteInt64(writable);
        writer.WriteInt64(writableFiles);
        writer.WriteInt64(sharedMemory);
        Write(writer, hidden);
        Write(writer, readOnly);
        return writer.Finish();
    }

    /// <summary>False when it is malformed or of another version.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> payload, out OuterFrame? frame)
    {
        FrameReader reader = new(payload);
        frame = reader.TryReadUInt16(out ushort version)
            && version == FrameLimits.Version
            && reader.TryReadInt64(out long capabilities)
            && reader.TryReadInt64(out long writable)
            && reader.TryReadInt64(out long files)
            && reader.TryReadInt64(out long sharedMemory)
            && writable > 0 && files > 0 && sharedMemory > 0
            && TryReadPaths(ref reader, payload, out TextSlice[] hidden)
            && TryReadPaths(ref reader, payload, out TextSlice[] readOnly)
            && reader.AtEnd
            ? new OuterFrame(capabilities, writable, files, sharedMemory, hidden, readOnly)
            : null;
        return frame is not null;
    }

    private static void Write(FrameWriter writer, IReadOnlyList<byte[]> paths)
    {
        writer.WriteInt32(paths.Count);
        for (int i = 0; i < paths.Count; i++)
        {
            writer.WriteText(paths[i]);
        }
    }

    private static bool TryReadPaths(ref FrameReader reader, ReadOnlySpan<byte> payload, out TextSlice[] paths)
    {
        paths = [];
        if (!reader.TryReadInt32(out int count) || count < 0 || count > FrameLimits.MaxPaths)
        {
            return false;
        }

        var read = new TextSlice[count];
        for (int i = 0; i < count; i++)
        {
            if (!reader.TryReadText(FrameLimits.MaxPath, out read[i])
                || !payload.Slice(read[i].Offset, read[i].Length).StartsWith("/proc/"u8))
            {
                return false;
            }
        }

        paths = read;
        return true;
    }
}
