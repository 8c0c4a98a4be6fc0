using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init.Lanes;

/// <summary>
/// Process 1 of a sandbox that serves many calls: forks lanes on order, and reaps them and whatever a lane left behind
/// that ended before its own. When it ends, the kernel ends them all.
/// </summary>
internal sealed unsafe class LaneHost(ControlSocket control)
{
    private const int EveryProcess = -1;

    /// <summary>Begins with the order for the first lane, just received. Returns true in a child that is to be a lane,
    /// false when the node is gone.</summary>
    public bool Run()
    {
        FrameMemory.Release();
        ProgramLauncher.LetGoOfStreams();
        int ended = Kernel.SignalDescriptor(1UL << (Kernel.SIGCHLD - 1));
        if (ended < 0)
        {
            throw new InitException(Kernel.Errno, "signalfd");
        }

        if (TryFork())
        {
            return true;
        }

        Kernel.PollEntry* entries = stackalloc Kernel.PollEntry[2];
        entries[0] = new Kernel.PollEntry { Descriptor = ended, Events = Kernel.POLLIN };
        entries[1] = new Kernel.PollEntry { Descriptor = ControlSocket.Descriptor, Events = Kernel.POLLIN };
        while (true)
        {
            Kernel.Poll(entries, 2, -1);
            if (entries[0].Returned != 0)
            {
                Supervision.DrainSignals(ended);
                Reap();
            }

            if (entries[1].Returned == 0)
            {
                continue;
            }

            if (!control.TryReceive(out FrameType type, out _, out int length) || type != FrameType.Lane || length != 0)
            {
                return false;
            }

            FrameMemory.Release();
            if (TryFork())
            {
                return true;
            }
        }
    }

    private static void Reap()
    {
        int status;
        Kernel.ResourceUsage usage;
        while (Kernel.Wait4(EveryProcess, &status, Kernel.WNOHANG, &usage) > 0)
        {
        }
    }

    /// <summary>True in the child.</summary>
    private bool TryFork()
    {
        int[] descriptors = control.TakeAll();
        if (descriptors.Length != 1)
        {
            throw new InitException(0, $"{descriptors.Length} descriptors came with the order for a lane");
        }

        int pid = Kernel.Fork();
        if (pid == 0)
        {
            Kernel.Duplicate(descriptors[0], ControlSocket.Descriptor);
            Lockdown.CloseForeign();
            return true;
        }

        int errno = Kernel.Errno;
        if (pid < 0)
        {
            ControlSocket.SendRefusal(descriptors[0], new InitException(errno, "fork of a lane"));
        }

        Kernel.Close(descriptors[0]);
        return false;
    }
}
