namespace Berth.Init.Protocol;

/// <summary>Who or what kept a program from starting.</summary>
public enum RefusalReason : byte
{
    /// <summary>Not found in the image, or not executable there.</summary>
    EntryPoint = 1,

    /// <summary>The image doesn't know the user or group, or the number is out of range.</summary>
    User = 2,

    /// <summary>The working directory can't be made or entered.</summary>
    WorkingDirectory = 3,
}

/// <summary>Why the image or the order made a start impossible.</summary>
/// <param name="Errno">The system call's error, 0 where none was involved.</param>
/// <param name="Detail">UTF-8, a sentence for people.</param>
public readonly ref struct RefusedFrame(RefusalReason reason, int errno, ReadOnlySpan<byte> detail)
{
    public RefusalReason Reason { get; } = reason;

    public int Errno { get; } = errno;

    public ReadOnlySpan<byte> Detail { get; } = detail;

    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(FrameType.Refused, 256);
        writer.WriteByte((byte)Reason);
        writer.WriteInt32(Errno);
        writer.WriteBlob(Detail[..Math.Min(Detail.Length, FrameLimits.MaxDetail)]);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out RefusedFrame frame)
    {
        FrameReader reader = new(payload);
        if (!reader.TryReadByte(out byte reason)
            || reason is < (byte)RefusalReason.EntryPoint or > (byte)RefusalReason.WorkingDirectory
            || !reader.TryReadInt32(out int errno)
            || !reader.TryReadBlob(FrameLimits.MaxDetail, out ReadOnlySpan<byte> detail)
            || !reader.AtEnd)
        {
            frame = default;
            return false;
        }

        frame = new RefusedFrame((RefusalReason)reason, errno, detail);
        return true;
    }
}

/// <summary>A system call of the init failed for reasons of the machine or of the sandbox's limits.</summary>
public readonly ref struct FailedFrame(int errno, ReadOnlySpan<byte> detail)
{
    public int Errno { get; } = errno;

    public ReadOnlySpan<byte> Detail { get; } = detail;

    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(FrameType.Failed, 256);
        writer.WriteInt32(Errno);
        writer.WriteBlob(Detail[..Math.Min(Detail.Length, FrameLimits.MaxDetail)]);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out FailedFrame frame)
    {
        FrameReader reader = new(payload);
        if (!reader.TryReadInt32(out int errno)
            || !reader.TryReadBlob(FrameLimits.MaxDetail, out ReadOnlySpan<byte> detail)
            || !reader.AtEnd)
        {
            frame = default;
            return false;
        }

        frame = new FailedFrame(errno, detail);
        return true;
    }
}

/// <summary>The program runs, or has run: see <see cref="StartFrame.Patience"/>.</summary>
/// <param name="Pid">The program's process id inside the sandbox.</param>
/// <param name="SinceMicroseconds">How long ago it began.</param>
public readonly record struct StartedFrame(int Pid, long SinceMicroseconds)
{
    /// <summary>A minute: no report waits for so long, unless its init was stopped meanwhile.</summary>
    public const long LongestMicroseconds = 60_000_000;

    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(FrameType.Started);
        writer.WriteInt32(Pid);
        writer.WriteInt64(SinceMicroseconds);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out StartedFrame frame)
    {
        FrameReader reader = new(payload);
        frame = default;
        if (!reader.TryReadInt32(out int pid) || !reader.TryReadInt64(out long since) || !reader.AtEnd
            || pid <= 0 || since is < 0 or > LongestMicroseconds)
        {
            return false;
        }

        frame = new StartedFrame(pid, since);
        return true;
    }
}

/// <summary>How the main process ended, and what it and all its descendants used (wait4(2)).</summary>
/// <param name="ExitCode">0 to 255; 0 when a signal ended it.</param>
/// <param name="Signal">The signal that ended it, or 0.</param>
/// <param name="UserMicroseconds">Processor time in user mode.</param>
/// <param name="SystemMicroseconds">Processor time in kernel mode.</param>
/// <param name="PeakResidentKibibytes">The largest resident set of any single process.</param>
public readonly record struct ExitedFrame(
    int ExitCode, int Signal, long UserMicroseconds, long SystemMicroseconds, long PeakResidentKibibytes)
{
    public ReadOnlyMemory<byte> Encode()
    {
        FrameWriter writer = new(FrameType.Exited);
        writer.WriteInt32(ExitCode);
        writer.WriteInt32(Signal);
        writer.WriteInt64(UserMicroseconds);
        writer.WriteInt64(SystemMicroseconds);
        writer.WriteInt64(PeakResidentKibibytes);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out ExitedFrame frame)
    {
        FrameReader reader = new(payload);
        frame = default;
        if (!reader.TryReadInt32(out int exitCode)
            || !reader.TryReadInt32(out int signal)
            || !reader.TryReadInt64(out long user)
            || !reader.TryReadInt64(out long system)
            || !reader.TryReadInt64(out long resident)
            || !reader.AtEnd
            || exitCode is < 0 or > 255
            || signal is < 0 or > 64
            || user < 0
            || system < 0
            || resident < 0)
        {
            return false;
        }

        frame = new ExitedFrame(exitCode, signal, user, system, resident);
        return true;
    }
}

/// <summary>Frames of at most one number.</summary>
public static class PlainFrames
{
    public static ReadOnlyMemory<byte> Kill { get; } = new FrameWriter(FrameType.Kill, 0).Finish();

    public static ReadOnlyMemory<byte> Lane { get; } = new FrameWriter(FrameType.Lane, 0).Finish();

    public static ReadOnlyMemory<byte> Cell { get; } = new FrameWriter(FrameType.Cell, 0).Finish();

    public static ReadOnlyMemory<byte> Spawn { get; } = new FrameWriter(FrameType.Spawn, 0).Finish();

    public static ReadOnlyMemory<byte> EncodeReady()
    {
        FrameWriter writer = new(FrameType.Ready);
        writer.WriteUInt16(FrameLimits.Version);
        return writer.Finish();
    }

    public static bool TryDecodeReady(ReadOnlySpan<byte> payload)
    {
        FrameReader reader = new(payload);
        return reader.TryReadUInt16(out ushort version) && version == FrameLimits.Version && reader.AtEnd;
    }

    public static ReadOnlyMemory<byte> EncodeSignal(int signal) => EncodeNumber(FrameType.Signal, signal);

    public static bool TryDecodeSignal(ReadOnlySpan<byte> payload, out int signal) =>
        TryDecodeNumber(payload, 1, 64, out signal);

    private static ReadOnlyMemory<byte> EncodeNumber(FrameType type, int number)
    {
        FrameWriter writer = new(type);
        writer.WriteInt32(number);
        return writer.Finish();
    }

    private static bool TryDecodeNumber(ReadOnlySpan<byte> payload, int least, int most, out int number)
    {
        FrameReader reader = new(payload);
        return reader.TryReadInt32(out number) && number >= least && number <= most && reader.AtEnd;
    }
}
