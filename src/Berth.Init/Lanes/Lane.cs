using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;
using Berth.Init.Users;

namespace Berth.Init.Lanes;

/// <summary>
/// A child of process 1 that runs one program after the other. What a program leaves behind becomes the lane's own
/// child, whatever it did to get away, and is ended and counted before the report: so two lanes of a sandbox share its
/// files, but never a process.
/// </summary>
internal sealed unsafe class Lane(ControlSocket control)
{
    private byte[] folder = [];
    private byte[] userText = [];
    private ResolvedUser? user;
    private VictimScore? score;

    /// <summary>Until the node is gone, or what a program left can't be ended.</summary>
    public void Run()
    {
        Kernel.NewSession();
        int ended = Kernel.SignalDescriptor(1UL << (Kernel.SIGCHLD - 1));
        if (ended < 0 || Kernel.ProcessControl(Kernel.PR_SET_CHILD_SUBREAPER, 1) < 0)
        {
            control.SendRefusal(new InitException(Kernel.Errno, "signalfd or prctl PR_SET_CHILD_SUBREAPER"));
            return;
        }

        score = VictimScore.TryOpen();
        if (!control.TrySend(PlainFrames.EncodeReady()))
        {
            return;
        }

        while (true)
        {
            ControlSocket.Wait();
            if (!control.TryReceive(out FrameType type, out byte* payload, out int length))
            {
                return;
            }

            // A signal for a program that ended while it came is nobody's.
            if (type is FrameType.Start && !TryServe(payload, length, ended))
            {
                return;
            }

            FrameMemory.Release();
        }
    }

    private bool TryServe(byte* payload, int length, int ended)
    {
        StartReport start;
        int program;
        try
        {
            program = Launch(payload, length, out byte patience);
            start = new StartReport(control, program, patience);
        }
        catch (InitException error)
        {
            control.SendRefusal(error);
            return true;
        }

        FrameMemory.Release();
        return new LaneProgram(control, program, start).TryRun(ended);
    }

    private int Launch(byte* payload, int length, out byte patience)
    {
        if (!StartFrame.TryDecode(new(payload, length), out StartFrame? start))
        {
            throw new InitException(0, "the Start frame is malformed");
        }

        patience = start!.Patience;
        AttachedStreams streams = control.TakeStreams(start);
        try
        {
            EnsureFolder(payload + start.WorkingDirectory.Offset);
            ProgramPlan plan = ProgramPlan.Make(
                start, payload, streams, Find(ProgramPlan.Slice(payload, start.User)));
            plan.SharesSession = true;
            plan.IsVictim = score is not null && score.TryRaise();
            return ProgramLauncher.Launch(plan);
        }
        finally
        {
            score?.Restore();
            // So that end of file travels.
            streams.Close();
        }
    }

    /// <summary>Once for each: if a program removes it, entering it tells the next one.</summary>
    private void EnsureFolder(byte* path)
    {
        ReadOnlySpan<byte> text = NativeText.Span(path);
        if (!text.SequenceEqual(folder))
        {
            WorkingDirectory.Ensure(path);
            folder = text.ToArray();
        }
    }

    /// <summary>By the image's files as they were at the first call, whatever a program makes of them.</summary>
    private ResolvedUser Find(ReadOnlySpan<byte> text)
    {
        if (user is null || !text.SequenceEqual(userText))
        {
            user = UserResolver.Resolve(text);
            userText = text.ToArray();
        }

        return user;
    }
}
