using Berth.Init.Inner;
using Berth.Init.Lanes;
using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// The life of a sandbox: seal the process, take the filter, say ready, wait as long as the pool does, run one program,
/// report, exit; or be the parent of lanes, each of which runs one after the other; or be the outer container of many
/// such lives. Every way out ends in exit, and with process 1 the kernel ends all others.
/// </summary>
internal static unsafe class SandboxInit
{
    public static void Run()
    {
        ControlSocket control = new();
        try
        {
            RunOnce(control);
        }
        catch (InitException error)
        {
            ProgramLauncher.LetGoOfStreams();
            control.SendRefusal(error);
        }

        // Past the runtime's own shutdown: nothing is left to flush.
        Kernel.Exit(0);
    }

    private static void RunOnce(ControlSocket control)
    {
        Lockdown.SealProcess();
        if (!control.TryReceive(out FrameType type, out byte* payload, out int length))
        {
            return;
        }

        if (type == FrameType.Outer)
        {
            if (!OuterFrame.TryDecode(new(payload, length), out OuterFrame? outer))
            {
                throw new InitException(0, "the Outer frame is malformed or of another version");
            }

            InnerRoot root = new(outer!, new(payload, length));
            // From here on in a child, which is told what to run over a connection of its own.
            OuterContainer container = new(control, root, (ulong)outer!.Capabilities);
            container.Prepare();
            if (!container.Run()
                || !control.TryReceive(out type, out payload, out length))
            {
                return;
            }
        }

        if (type != FrameType.Boot || !BootFrame.TryDecode(new(payload, length), out ReadOnlySpan<byte> filter))
        {
            throw new InitException(0, "the Boot frame is malformed or of another version");
        }

        Lockdown.InstallFilter(filter);
        if (!control.TrySend(PlainFrames.EncodeReady()) || !control.TryReceive(out type, out payload, out length))
        {
            return;
        }

        if (type == FrameType.Kill)
        {
            return;
        }

        if (type == FrameType.Lane)
        {
            // True in a child, which is a lane.
            if (new LaneHost(control).Run())
            {
                new Lane(control).Run();
            }

            return;
        }

        if (type != FrameType.Start || !StartFrame.TryDecode(new(payload, length), out StartFrame? start))
        {
            throw new InitException(0, "the Start frame is malformed");
        }

        AttachedStreams streams = control.TakeStreams(start!);
        WorkingDirectory.Ensure(payload + start!.WorkingDirectory.Offset);
        int program = ProgramLauncher.LaunchMain(ProgramPlan.Make(start, payload, streams));
        StartReport report = new(control, program, start.Patience);
        streams.Close();
        FrameMemory.Release();
        new Supervision(control, program, report).Run();
    }
}
