using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// The time the program runs: obeys the node, reaps orphans, and when the main process is gone ends and reaps all
/// others before it reports, so that nothing outlives the report.
/// </summary>
internal sealed unsafe class Supervision(ControlSocket control, int program)
{
    private const int EveryProcess = -1;

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
            Kernel.Poll(entries, 2, -1);
            if (entries[1].Returned != 0 && !TryObey())
            {
                // The node is gone. When process 1 exits the kernel kills the rest.
                return;
            }

            if (entries[0].Returned != 0)
            {
                DrainSignals();
                Reap(Kernel.WNOHANG);
            }
        }

        Kernel.Kill(EveryProcess, Kernel.SIGKILL);
        Reap(0);
        control.TrySend(Report().Encode());
    }

    /// <summary>False when the connection is closed or broken.</summary>
    private bool TryObey()
    {
        if (!control.TryReceive(out FrameType type, out byte* payload, out int length))
        {
            return false;
        }

        switch (type)
        {
            case FrameType.Kill:
                Kernel.Kill(EveryProcess, Kernel.SIGKILL);
                return true;
            case FrameType.Signal when PlainFrames.TryDecodeSignal(new(payload, length), out int signal):
                // Not reaped yet, so the number is still its own.
                Kernel.Kill(program, signal);
                return true;
            default:
                return false;
        }
    }

    private void DrainSignals()
    {
        const int SignalInfoBytes = 128;
        byte* info = stackalloc byte[SignalInfoBytes];
        while (Kernel.Read(childSignals, info, SignalInfoBytes) > 0)
        {
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
        }
    }

    private ExitedFrame Report()
    {
        // wait(2): the low seven bits hold the signal, the next byte the exit code.
        int signal = status & 0x7F;
        int exitCode = signal == 0 ? (status >> 8) & 0xFF : 0;
        return new ExitedFrame(exitCode, signal, userMicroseconds, systemMicroseconds, peakResident);
    }
}
