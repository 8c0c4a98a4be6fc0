using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init.Lanes;

/// <summary>
/// The time a lane's program runs: obeys the node, reaps, and when the main process is gone ends and reaps what it left
/// before it reports. All that the program started are descendants of the lane, and no one else is.
/// </summary>
internal sealed unsafe class LaneProgram(ControlSocket control, int program, StartReport start)
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
        bool isHeard = start.Patience != 0 || start.TryTell();
        while (isHeard && !ended)
        {
            Kernel.Poll(entries, 2, start.Patience);
            if (entries[0].Returned != 0)
            {
                Supervision.DrainSignals(signals);
                Reap(Kernel.WNOHANG);
            }

            // Also where another than the program ended: else each of them would begin the wait anew.
            if (!ended)
            {
                isHeard = start.TryTell() && (entries[1].Returned == 0 || TryObey());
            }
        }

        if (!isHeard)
        {
            LaneChildren.TryKill();
            return false;
        }

        return TryEndAll() && start.TryEnd(Report());
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
            // How long this takes is up to what is left, so that the start waits for no such end.
            if (round == MostRounds || !LaneChildren.TryKill() || !start.TryTell())
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
