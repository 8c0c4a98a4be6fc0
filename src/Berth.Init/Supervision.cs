using System.Text;
using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// The time the program runs: obeys the node, reaps orphans, and when the main process is gone ends and reaps all
/// others before it reports, so that nothing outlives the report.
/// </summary>
internal sealed unsafe class Supervision(ControlSocket control, int program, StartReport start)
{
    private const int EveryProcess = -1;

    /// <summary>Further programs: the node's number by process id, from their start until they are reaped.</summary>
    private readonly Dictionary<int, int> further = [];

    private readonly int childSignals = Kernel.SignalDescriptor(1UL << (Kernel.SIGCHLD - 1));
    private int status;
    private bool ended;
    private long userMicroseconds;
    private long systemMicroseconds;
    private long peakResident;

    public void Run()
    {
        if (childSignals < 0)
        {
            control.SendRefusal(new InitException(Kernel.Errno, "signalfd"));
            return;
        }

        Kernel.PollEntry* entries = stackalloc Kernel.PollEntry[2];
        entries[0] = new Kernel.PollEntry { Descriptor = childSignals, Events = Kernel.POLLIN };
        entries[1] = new Kernel.PollEntry { Descriptor = ControlSocket.Descriptor, Events = Kernel.POLLIN };

        // Reaping comes first: children may have ended before the descriptor existed.
        Reap(Kernel.WNOHANG);
        while (!ended)
        {
            if (start.Patience == 0 && !start.TryTell())
            {
                return;
            }

            Kernel.Poll(entries, 2, start.Patience);
            if (entries[0].Returned != 0)
            {
                DrainSignals(childSignals);
                Reap(Kernel.WNOHANG);
            }

            // The node is gone where it can't be told or heard. When process 1 exits the kernel kills the rest.
            if (!ended && (!start.TryTell() || (entries[1].Returned != 0 && !TryObey())))
            {
                return;
            }
        }

        if (Kernel.Kill(EveryProcess, Kernel.SIGKILL) == 0)
        {
            // Something is left. How long its end takes is up to it, so that the start does not wait for that.
            start.TryTell();
        }

        Reap(0);
        start.TryEnd(Report());
    }

    /// <summary>False when the connection is closed or broken.</summary>
    private bool TryObey()
    {
        bool obeyed = control.TryReceive(out FrameType type, out byte* payload, out int length)
            && TryObey(type, payload, length);
        FrameMemory.Release();
        return obeyed;
    }

    /// <summary>Of a descriptor for signals.</summary>
    public static void DrainSignals(int descriptor)
    {
        // Of one kind there is mostly one, however many ended: room for more says that it was the last.
        const int SignalInfoBytes = 4 * 128;
        byte* info = stackalloc byte[SignalInfoBytes];
        while (Kernel.Read(descriptor, info, SignalInfoBytes) == SignalInfoBytes)
        {
        }
    }

    private bool TryObey(FrameType type, byte* payload, int length)
    {
        switch (type)
        {
            case FrameType.Kill:
                Kernel.Kill(EveryProcess, Kernel.SIGKILL);
                return true;
            case FrameType.Signal when PlainFrames.TryDecodeSignal(new(payload, length), out int signal):
                // Not reaped yet, so the number is still its own.
                Kernel.Kill(program, signal);
                return true;
            case FrameType.Exec when ExecFrame.TryDecode(new(payload, length), out ExecFrame? order):
                Execute(order!, payload);
                return true;
            case FrameType.ExecSignal when ExecNumbersFrame.TryDecode(type, new(payload, length), out var order):
                SignalFurther(order.Id, order.First);
                return true;
            default:
                return false;
        }
    }

    private void Execute(ExecFrame order, byte* payload)
    {
        AttachedStreams streams = default;
        try
        {
            streams = control.TakeStreams(order.Program);
            int pid = ProgramLauncher.Launch(ProgramPlan.Make(order.Program, payload, streams));
            further.Add(pid, order.Id);
            control.TrySend(new ExecNumbersFrame(FrameType.ExecStarted, order.Id, pid).Encode());
        }
        catch (InitException error)
        {
            control.TrySend(new ExecRefusedFrame(
                order.Id, error.Refusal, error.Errno, Encoding.UTF8.GetBytes(error.Message)).Encode());
        }
        finally
        {
            // So that end of file travels.
            streams.Close();
        }
    }

    private void SignalFurther(int id, int signal)
    {
        foreach ((int pid, int its) in further)
        {
            if (its == id)
            {
                Kernel.Kill(pid, signal);
                return;
            }
        }
    }

    /// <summary>With WNOHANG those that ended, with 0 until no child is left.</summary>
    private void Reap(int options)
    {
        while (true)
        {
            int childStatus;
            Kernel.ResourceUsage usage;
            int pid = Kernel.Wait4(EveryProcess, &childStatus, options, &usage);
            if (pid < 0 && Kernel.Errno == Kernel.EINTR)
            {
                continue;
            }

            if (pid <= 0)
            {
                return;
            }

            userMicroseconds += (usage.UserSeconds * 1_000_000) + usage.UserMicroseconds;
            systemMicroseconds += (usage.SystemSeconds * 1_000_000) + usage.SystemMicroseconds;
            peakResident = Math.Max(peakResident, usage.PeakResidentKibibytes);
            if (pid == program)
            {
                status = childStatus;
                ended = true;
            }
            else if (further.Remove(pid, out int id))
            {
                control.TrySend(
                    new ExecNumbersFrame(FrameType.ExecExited, id, ExitCodeOf(childStatus), SignalOf(childStatus))
                        .Encode());
            }
        }
    }

    private ExitedFrame Report() => new(
        ExitCodeOf(status), SignalOf(status), userMicroseconds, systemMicroseconds, peakResident);

    // wait(2): the low seven bits hold the signal, the next byte the exit code.
    public static int SignalOf(int status) => status & 0x7F;

    public static int ExitCodeOf(int status) => SignalOf(status) == 0 ? (status >> 8) & 0xFF : 0;
}
