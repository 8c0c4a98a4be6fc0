using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>A process in which no program ever runs: it forks others on order, and reaps them, until the node is gone.
/// </summary>
internal abstract unsafe class ForkingHost(ControlSocket control)
{
    private const int EveryProcess = -1;

    protected ControlSocket Control { get; } = control;

    /// <summary>Says that it is ready, and obeys, as <see cref="Obey"/>.</summary>
    public virtual bool Run() => Control.TrySend(PlainFrames.EncodeReady()) && Obey();

    /// <summary>Returns true in a child that is to do what it was forked for, false when the node is gone.</summary>
    protected bool Obey()
    {
        int ended = Kernel.SignalDescriptor(1UL << (Kernel.SIGCHLD - 1));
        if (ended < 0)
        {
            throw new InitException(Kernel.Errno, "signalfd");
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

            bool isChild = false;
            bool obeyed = Control.TryReceive(out FrameType type, out _, out int length)
                && length == 0
                && TryObey(type, Control.TakeAll(), out isChild);
            FrameMemory.Release();
            if (isChild || !obeyed)
            {
                return isChild;
            }
        }
    }

    /// <summary>False for what is no order.</summary>
    /// <param name="descriptors">What came with it, the callee's to close.</param>
    /// <param name="isChild">True in a child that is to do what it was forked for.</param>
    protected abstract bool TryObey(FrameType type, int[] descriptors, out bool isChild);

    /// <summary>True in the child. The parent keeps nothing of what came.</summary>
    /// <param name="namespaces">Its own from the start; 0 for none.</param>
    /// <param name="connection">Over which it is said that there is none.</param>
    /// <param name="call">What failed then.</param>
    protected static bool TryFork(int namespaces, int[] descriptors, int connection, string call)
    {
        int pid = Kernel.Fork(namespaces);
        if (pid == 0)
        {
            return true;
        }

        int errno = Kernel.Errno;
        if (pid < 0)
        {
            ControlSocket.SendRefusal(connection, new InitException(errno, call));
        }

        foreach (int descriptor in descriptors)
        {
            Kernel.Close(descriptor);
        }

        return false;
    }

    private static void Reap()
    {
        int status;
        Kernel.ResourceUsage usage;
        while (Kernel.Wait4(EveryProcess, &status, Kernel.WNOHANG, &usage) > 0)
        {
        }
    }
}
