namespace Berth.Init.Protocol;

/// <summary>Where a program's standard streams come from.</summary>
public enum StandardStreams : byte
{
    /// <summary>The init's own, as it was made with; the main program only.</summary>
    Inherited = 0,

    /// <summary>Three descriptors that come with the frame: 0, 1 and 2.</summary>
    Attached = 1,

    /// <summary>One descriptor that comes with the frame, for all three: the program's controlling terminal.</summary>
    Terminal = 2,

    /// <summary>Four descriptors that come with the frame: 0, 1, 2 and the write end of the progress pipe; programs of
    /// lanes only.</summary>
    WithProgress = 3,
}

/// <summary>How the kernel shares processors with a program (sched(7)).</summary>
public enum ProgramScheduling : byte
{
    /// <summary>As it comes: SCHED_OTHER, unless the machine's owner has Berth itself run otherwise.</summary>
    Inherited = 0,

    /// <summary>SCHED_BATCH: when it wakes it takes an idle processor, and waits for a busy one.</summary>
    Batch = 1,
}

/// <summary>The program to run, as slices of the payload it was decoded from.</summary>
/// <param name="Streams">Descriptors come with the frame accordingly.</param>
/// <param name="User">"", "uid", "name", each with ":gid" or ":group"; empty is root.</param>
/// <param name="WorkingDirectory">Absolute; made when missing.</param>
/// <param name="Arguments">At least one, not empty.</param>
/// <param name="Environment">Each "NAME=value".</param>
/// <param name="Patience">Milliseconds that the report of the start may wait for the end, to be one with its report;
/// 0 for none. Means nothing for a further program.</param>
public sealed record StartFrame(
    StandardStreams Streams, TextSlice User, TextSlice WorkingDirectory, TextSlice[] Arguments, TextSlice[] Environment,
    byte Patience, ProgramScheduling Scheduling)
{
    /// <summary>How many descriptors must have come with the frame.</summary>
    public int Descriptors => Streams switch
    {
        StandardStreams.Attached => 3,
        StandardStreams.Terminal => 1,
        StandardStreams.WithProgress => 4,
        _ => 0,
    };

    public static ReadOnlyMemory<byte> Encode(
        ReadOnlySpan<byte> user,
        ReadOnlySpan<byte> workingDirectory,
        IReadOnlyList<byte[]> arguments,
        IReadOnlyList<byte[]> environment,
        StandardStreams streams = StandardStreams.Inherited,
        byte patience = 0,
        ProgramScheduling scheduling = ProgramScheduling.Inherited)
    {
        FrameWriter writer = new(FrameType.Start, 2048);
        Write(writer, user, workingDirectory, arguments, environment, streams, patience, scheduling);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out StartFrame? frame)
    {
        FrameReader reader = new(payload);
        return TryRead(ref reader, payload, out frame);
    }

    internal static void Write(
        FrameWriter writer,
        ReadOnlySpan<byte> user,
        ReadOnlySpan<byte> workingDirectory,
        IReadOnlyList<byte[]> arguments,
        IReadOnlyList<byte[]> environment,
        StandardStreams streams,
        byte patience,
        ProgramScheduling scheduling)
    {
        writer.WriteByte((byte)streams);
        writer.WriteByte(patience);
        writer.WriteByte((byte)scheduling);
        writer.WriteText(user);
        writer.WriteText(workingDirectory);
        WriteTexts(writer, arguments);
        WriteTexts(writer, environment);
    }

    /// <summary>The rest of a payload, which must be a program and nothing else.</summary>
    internal static bool TryRead(ref FrameReader reader, ReadOnlySpan<byte> payload, out StartFrame? frame)
    {
        frame = null;
        int budget = FrameLimits.MaxTexts;
        int count = FrameLimits.MaxTextCount;
        if (!reader.TryReadByte(out byte streams)
            || streams > (byte)StandardStreams.WithProgress
            || !reader.TryReadByte(out byte patience)
            || !reader.TryReadByte(out byte scheduling)
            || scheduling > (byte)ProgramScheduling.Batch
            || !reader.TryReadText(FrameLimits.MaxUser, out TextSlice user)
            || !reader.TryReadText(FrameLimits.MaxPath, out TextSlice folder)
            || !TryReadTexts(ref reader, ref count, ref budget, out TextSlice[] arguments)
            || !TryReadTexts(ref reader, ref count, ref budget, out TextSlice[] environment)
            || !reader.AtEnd
            || arguments.Length == 0
            || arguments[0].Length == 0
            || folder.Length == 0
            || payload[folder.Offset] != (byte)'/')
        {
            return false;
        }

        foreach (TextSlice variable in environment)
        {
            if (payload.Slice(variable.Offset, variable.Length).IndexOf((byte)'=') <= 0)
            {
                return false;
            }
        }

        frame = new StartFrame(
            (StandardStreams)streams, user, folder, arguments, environment, patience, (ProgramScheduling)scheduling);
        return true;
    }

    private static void WriteTexts(FrameWriter writer, IReadOnlyList<byte[]> texts)
    {
        writer.WriteInt32(texts.Count);
        for (int i = 0; i < texts.Count; i++)
        {
            writer.WriteText(texts[i]);
        }
    }

    private static bool TryReadTexts(ref FrameReader reader, ref int count, ref int budget, out TextSlice[] texts)
    {
        texts = [];
        if (!reader.TryReadInt32(out int length) || length < 0 || length > count)
        {
            return false;
        }

        var read = new TextSlice[length];
        for (int i = 0; i < length; i++)
        {
            if (!reader.TryReadText(Math.Min(FrameLimits.MaxText, budget), out read[i]))
            {
                return false;
            }

            budget -= read[i].Length;
        }

        count -= length;
        texts = read;
        return true;
    }
}
