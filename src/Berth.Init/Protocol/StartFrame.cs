namespace Berth.Init.Protocol;

/// <summary>The program to run, as slices of the payload it was decoded from.</summary>
/// <param name="User">"", "uid", "name", each with ":gid" or ":group"; empty is root.</param>
/// <param name="WorkingDirectory">Absolute; made when missing.</param>
/// <param name="Arguments">At least one, not empty.</param>
/// <param name="Environment">Each "NAME=value".</param>
public sealed record StartFrame(
    TextSlice User, TextSlice WorkingDirectory, TextSlice[] Arguments, TextSlice[] Environment)
{
    public static ReadOnlyMemory<byte> Encode(
        ReadOnlySpan<byte> user,
        ReadOnlySpan<byte> workingDirectory,
        IReadOnlyList<byte[]> arguments,
        IReadOnlyList<byte[]> environment)
    {
        FrameWriter writer = new(FrameType.Start, 2048);
        writer.WriteText(user);
        writer.WriteText(workingDirectory);
        WriteTexts(writer, arguments);
        WriteTexts(writer, environment);
        return writer.Finish();
    }

    public static bool TryDecode(ReadOnlySpan<byte> payload, out StartFrame? frame)
    {
        frame = null;
        FrameReader reader = new(payload);
        int budget = FrameLimits.MaxTexts;
        int count = FrameLimits.MaxTextCount;
        if (!reader.TryReadText(FrameLimits.MaxUser, out TextSlice user)
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

        frame = new StartFrame(user, folder, arguments, environment);
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
