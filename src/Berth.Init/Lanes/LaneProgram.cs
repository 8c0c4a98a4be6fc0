using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Lanes;

/// <summary>
/// The time a lane's program runs: obeys the node, reaps, and when the main process is gone ends and reaps what it left
/// before it reports. All that the program started are descendants of the lane, and no one else is.
/// </summary>
internal sealed unsafe class LaneProgram(ControlSocket control, int program)
{
    private const int EveryChild = -1;

    /// <summary>Rounds of ending children, after which something multiplies faster than it is ended: only the
    /// sandbox's own end is certain then.</summary>
    private const int MostRounds = 2000;

    private int status;
    private bool ended;
    private bool isEmpty;
    private long userMicroseconds;
    private long systemMicroseconds;
    private long peakResident;

    /// <summary>False when the node is gone, or what runs can't be ended.</summary>
    /// <param name="signals">Tells of children that ended.</param>
    public bool TryRun(int signals)
    {
        Kernel.PollEntry* entries = stackalloc Kernel.PollEntry[2];
        entries[0] = new Kernel.PollEntry { Descriptor = signals, Events = Kernel.POLLIN };
        entries[1] = new Kernel.PollEntry { Descriptor = ControlSocket.Descriptor, Events = Kernel.POLLIN };
        while (!ended)
        {
            Kernel.Poll(entries, 2, -1);
            if (entries[0].Returned != 0)
            {
                Supervision.DrainSignals(signals);
                Reap(Kernel.WNOHANG);
            }
            else if (entries[1].Returned != 0 && !TryObey())
            {
                LaneChildren.TryKill();
                return false;
            }
        }

        return TryEndAll() && control.TrySend(Report().Encode());
    }

    private bool TryObey()
    {
        bool obeyed = control.TryReceive(out FrameType type, out byte* payload, out int length)
            && TryObey(type, payload, length);
        FrameMemory.Release();
        return obeyed;
    }

    private bool TryObey(FrameType type, byte* payload, int length)
    {
        switch (type)
        {
            case FrameType.Kill:
                return TryEndAll();
            case FrameType.Signal when PlainFrames.TryDecodeSignal(new(payload, length), out int signal):
                // Not reaped yet, so the number is still its own.
                Kernel.Kill(program, signal);
                return true;
            default:
                return false;
        }
    }

    /// <summary>A child's end makes its own children the lane's, so this ends generation after generation.</summary>
    private bool TryEndAll()
    {
        Reap(Kernel.WNOHANG);
        for (int round = 0; !isEmpty; round++)
        {
            if (round == MostRounds || !LaneChildren.TryKill())
            {
                return false;
            }

            ReapOne(0);
            Reap(Kernel.WNOHANG);
        }

        return true;
    }

    private void Reap(int options)
    {
        while (ReapOne(options))
        {
        }
    }

    /// <summary>Whether there was one.</summary>
    private bool ReapOne(int options)
    {
        int childStatus;
        Kernel.ResourceUsage usage;
        int pid;
        do
        {
            pid = Kernel.Wait4(EveryChild, &childStatus, options, &usage);
        }
        while (pid < 0 && Kernel.Errno == Kernel.EINTR);

        isEmpty = pid < 0;
        if (pid <= 0)
        {
            return false;
        }

        userMicroseconds += (usage.UserSeconds * 1_000_000) + usage.UserMicroseconds;
        systemMicroseconds += (usage.SystemSeconds * 1_000_000) + usage.SystemMicroseconds;
        peakResident = Math.Max(peakResident, usage.PeakResidentKibibytes);
        if (pid == program)
        {
            status = childStatus;
            ended = true;
        }

        return true;
    }

    private ExitedFrame Report() => new(
        Supervision.ExitCodeOf(status), Supervision.SignalOf(status), userMicroseconds, systemMicroseconds,
        peakResident);
}
