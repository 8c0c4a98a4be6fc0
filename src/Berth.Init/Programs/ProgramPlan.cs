using Berth.Init.Linux;
using Berth.Init.Protocol;
using Berth.Init.Users;

namespace Berth.Init.Programs;

/// <summary>
/// All that the forked child needs, worked out before the fork and held outside the managed heap, so that between
/// fork and execve nothing of the runtime is touched.
/// </summary>
internal unsafe struct ProgramPlan
{
    public byte* WorkingDirectory;

    /// <summary>Paths to try in this order, and their number.</summary>
    public byte** Candidates;
    public int CandidateCount;
    public byte** Arguments;
    public byte** Environment;
    public uint User;
    public uint Group;
    public uint* Groups;
    public int GroupCount;

    /// <summary>Where the child writes why it could not execute.</summary>
    public ChildReport* Report;

    /// <summary>The streams, where they are not the init's own.</summary>
    public AttachedStreams Streams;

    /// <summary>The write end of the progress pipe; -1 for none.</summary>
    public int Progress;

    /// <summary>Whether it is a process group in its parent's session. A session of its own, which only a terminal
    /// needs, costs the kernel a group of its scheduler's.</summary>
    public bool SharesSession;

    /// <summary>Whether it is born with the score of <see cref="VictimScore"/>.</summary>
    public bool IsVictim;

    /// <summary>Whether it does not drive others from the processor when it wakes.</summary>
    public bool IsBatch;

    /// <summary>Looks up user and command. Throws InitException.</summary>
    public static ProgramPlan Make(StartFrame frame, byte* payload, AttachedStreams streams) =>
        Make(frame, payload, streams, UserResolver.Resolve(Slice(payload, frame.User)));

    /// <param name="user">Whom the frame means.</param>
    public static ProgramPlan Make(StartFrame frame, byte* payload, AttachedStreams streams, ResolvedUser user)
    {
        ProgramPlan plan = default;
        plan.Progress = streams.Progress > 0 ? streams.Progress : -1;
        plan.Streams = streams;
        plan.IsBatch = frame.Scheduling == ProgramScheduling.Batch;
        plan.WorkingDirectory = payload + frame.WorkingDirectory.Offset;
        plan.User = user.User;
        plan.Group = user.Group;
        plan.GroupCount = user.Groups.Length;
        plan.Groups = (uint*)FrameMemory.Take((nuint)user.Groups.Length * sizeof(uint));
        user.Groups.CopyTo(new Span<uint>(plan.Groups, plan.GroupCount));
        plan.Arguments = Vector(frame.Arguments, payload, 0, out _);
        plan.Environment = Vector(frame.Environment, payload, 2, out int count);
        ReadOnlySpan<byte> path = Find(plan.Environment, "PATH="u8);
        if (path.IsEmpty)
        {
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"u8;
            plan.Environment[count++] = NativeText.Copy("PATH="u8, path);
        }

        if (Find(plan.Environment, "HOME="u8).IsEmpty)
        {
            plan.Environment[count] = NativeText.Copy("HOME="u8, user.Home.Length == 0 ? "/"u8 : user.Home);
        }

        plan.SetCandidates(path);
        return plan;
    }

    public static ReadOnlySpan<byte> Slice(byte* payload, TextSlice slice) =>
        new(payload + slice.Offset, slice.Length);

    /// <summary>NULL-terminated, with zeroed room for more entries before the end.</summary>
    private static byte** Vector(TextSlice[] texts, byte* payload, int room, out int count)
    {
        count = texts.Length;
        byte** vector = (byte**)FrameMemory.TakeCleared((nuint)(count + room + 1) * (nuint)sizeof(byte*));
        for (int i = 0; i < count; i++)
        {
            vector[i] = payload + texts[i].Offset;
        }

        return vector;
    }

    private static ReadOnlySpan<byte> Find(byte** environment, ReadOnlySpan<byte> prefix)
    {
        for (; *environment is not null; environment++)
        {
            ReadOnlySpan<byte> variable = NativeText.Span(*environment);
            if (variable.StartsWith(prefix))
            {
                return variable[prefix.Length..];
            }
        }

        return default;
    }

    private void SetCandidates(ReadOnlySpan<byte> path)
    {
        ReadOnlySpan<byte> command = NativeText.Span(Arguments[0]);
        int most = command.Contains((byte)'/') ? 1 : path.Count((byte)':') + 1;
        Candidates = (byte**)FrameMemory.Take((nuint)most * (nuint)sizeof(byte*));
        if (command.Contains((byte)'/'))
        {
            Candidates[CandidateCount++] = Arguments[0];
            return;
        }

        for (bool more = true; more;)
        {
            int colon = path.IndexOf((byte)':');
            more = colon >= 0;
            ReadOnlySpan<byte> folder = more ? path[..colon] : path;
            path = more ? path[(colon + 1)..] : default;
            if (folder.Length + command.Length < FrameLimits.MaxPath)
            {
                // An empty entry is the working directory (environ(7)).
                byte* prefix = NativeText.Copy(folder.IsEmpty ? "."u8 : folder, "/"u8);
                Candidates[CandidateCount++] = NativeText.Copy(NativeText.Span(prefix), command);
            }
        }
    }
}
