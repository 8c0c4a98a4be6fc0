namespace Berth.Init.Protocol;

/// <summary>A further program, in the same sandbox and under the same limits as the main one.</summary>
/// <param name="Id">The node's number for it, new with each; every later frame about it has it.</param>
public sealed record ExecFrame(int Id, StartFrame Program)
{
    public static ReadOnlyMemory<byte> Encode(
        int id,
        ReadOnlySpan<byte> user,
        ReadOnlySpan<byte> workingDirectory,
        IReadOnlyList<byte[]> arguments,
        IReadOnlyList<byte[]> environment,
        StandardStreams streams)
    {
        FrameWriter writer = new(FrameType.Exec, 2048);
        writer.WriteInt32(id);
        StartFrame.Write(
            writer, user, workingDirectory, arguments, environment, streams, patience: 0, ProgramScheduling.Inherited);
        return writer.Finish();
    }

    /// <summary>False when it is malformed, or its streams are not a further program's.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> payload, out ExecFrame? frame)
    {
        FrameReader reader = new(payload);
        frame = reader.TryReadInt32(out int id)
            && StartFrame.TryRead(ref reader, payload, out StartFrame? program)
            && program!.Streams is StandardStreams.Attached or StandardStreams.Terminal
            ? new ExecFrame(id, program)
            : null;
        return frame is not null;
    }
}

/// <summary>Why a further program did not start.</summary>
/// <param name="Reason">Null when the machine is to blame.</param>
/// <param name="Detail">UTF-8, a sentence for people.</param>
public readonly ref struct ExecRefusedFrame(int id, RefusalReason? reason, int errno, ReadOnlySpan<byte> detail)
{
    public int Id { get; } = id;

    public RefusalReason? Reason { get; } = reason;

    public int Errno { get; } = errno;

    public ReadOnlySpan<byte> Detail { get; } = detail;

    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(FrameType.ExecRefused, 256);
        writer.WriteInt32(Id);
        writer.WriteByte((byte)(Reason ?? 0));
        writer.WriteInt32(Errno);
        writer.WriteBlob(Detail[..Math.Min(Detail.Length, FrameLimits.MaxDetail)]);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out ExecRefusedFrame frame)
    {
        FrameReader reader = new(payload);
        if (!reader.TryReadInt32(out int id)
            || !reader.TryReadByte(out byte reason)
            || reason > (byte)RefusalReason.WorkingDirectory
            || !reader.TryReadInt32(out int errno)
            || !reader.TryReadBlob(FrameLimits.MaxDetail, out ReadOnlySpan<byte> detail)
            || !reader.AtEnd)
        {
            frame = default;
            return false;
        }

        frame = new ExecRefusedFrame(id, reason == 0 ? null : (RefusalReason)reason, errno, detail);
        return true;
    }
}

/// <summary>Numbers about a further program: a signal for it, its process id, how it ended.</summary>
/// <param name="First">Signal, process id, or exit code (0 when a signal ended it).</param>
/// <param name="Second">The signal that ended it, or 0.</param>
public readonly record struct ExecNumbersFrame(FrameType Type, int Id, int First, int Second = 0)
{
    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(Type);
        writer.WriteInt32(Id);
        writer.WriteInt32(First);
        writer.WriteInt32(Second);
        return writer.Finish();
    }

    public static bool TryDecode(FrameType type, ReadOnlySpan<byte> payload, out ExecNumbersFrame frame)
    {
        FrameReader reader = new(payload);
        frame = default;
        if (!reader.TryReadInt32(out int id) || !reader.TryReadInt32(out int first)
            || !reader.TryReadInt32(out int second) || !reader.AtEnd)
        {
            return false;
        }

        bool sound = type switch
        {
            FrameType.ExecSignal => first is >= 1 and <= 64 && second == 0,
            FrameType.ExecStarted => first >= 1 && second == 0,
            FrameType.ExecExited => first is >= 0 and <= 255 && second is >= 0 and <= 64,
            _ => false,
        };
        frame = new ExecNumbersFrame(type, id, first, second);
        return sound;
    }
}
