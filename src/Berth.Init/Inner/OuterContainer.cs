using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Inner;

/// <summary>
/// The life of an outer container, in which no program ever runs: on order it forks sandboxes, each with namespaces, a
/// root, control groups and a connection of its own. Such a child is a sandbox's init from there on, and can do no more
/// than any other.
/// </summary>
internal sealed unsafe class OuterContainer(ControlSocket control, InnerRoot root, ulong capabilities)
{
    private const int OwnNamespaces =
        Kernel.CLONE_NEWPID | Kernel.CLONE_NEWNS | Kernel.CLONE_NEWIPC | Kernel.CLONE_NEWUTS;

    private const int HighestCapability = 63;
    private const uint CapabilityVersion = 0x20080522;
    private const int EveryProcess = -1;

    private readonly List<Cell> cells = [];

    /// <summary>Returns true in a child that is to be a sandbox's init, false when the node is gone.</summary>
    public bool Run()
    {
        InnerRoot.PrepareOuter();
        LimitBounds();
        int ended = Kernel.SignalDescriptor(1UL << (Kernel.SIGCHLD - 1));
        if (ended < 0)
        {
            throw new InitException(Kernel.Errno, "signalfd");
        }

        if (!control.TrySend(PlainFrames.EncodeReady()))
        {
            return false;
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

            bool obeyed = TryObey(out bool isSandbox);
            FrameMemory.Release();
            if (isSandbox || !obeyed)
            {
                return isSandbox;
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

    /// <summary>False when the connection is closed or what came is no order.</summary>
    private bool TryObey(out bool isSandbox)
    {
        isSandbox = false;
        if (!control.TryReceive(out FrameType type, out byte* payload, out int length)
            || !CellFrames.TryDecode(new(payload, length), out int number))
        {
            return false;
        }

        int[] descriptors = control.TakeAll();
        if (type == FrameType.Cell && number == cells.Count && descriptors.Length > 0)
        {
            cells.Add(Cell.Make(descriptors));
            return true;
        }

        if (type != FrameType.Spawn || number >= cells.Count || descriptors.Length != CellFrames.SpawnDescriptors)
        {
            return false;
        }

        isSandbox = TrySpawn(cells[number], descriptors);
        return true;
    }

    /// <summary>True in the child.</summary>
    private bool TrySpawn(Cell cell, int[] descriptors)
    {
        int pid = Kernel.Fork(OwnNamespaces);
        if (pid == 0)
        {
            Become(cell, descriptors);
            return true;
        }

        int errno = Kernel.Errno;
        if (pid < 0)
        {
            ControlSocket.SendRefusal(
                descriptors[ControlSocket.Descriptor], new InitException(errno, "clone of a sandbox"));
        }

        foreach (int descriptor in descriptors)
        {
            Kernel.Close(descriptor);
        }

        return false;
    }

    private void Become(Cell cell, int[] descriptors)
    {
        // What came lies above these, for they were never closed.
        for (int i = 0; i < descriptors.Length; i++)
        {
            Kernel.Duplicate(descriptors[i], i);
        }

        cell.Enter();
        Lockdown.CloseForeign();
        if (Kernel.Unshare(Kernel.CLONE_NEWCGROUP) < 0)
        {
            throw new InitException(Kernel.Errno, "unshare of the control groups");
        }

        root.Enter();
        LimitCapabilities();
    }

    /// <summary>What no program of a sandbox may ever get; this process keeps what it has, and executes
    /// nothing.</summary>
    private void LimitBounds()
    {
        for (int capability = 0; capability <= HighestCapability; capability++)
        {
            // EINVAL beyond the kernel's last one.
            if ((capabilities & (1UL << capability)) == 0
                && Kernel.ProcessControl(Kernel.PR_CAPBSET_DROP, capability) < 0
                && Kernel.Errno != Kernel.EINVAL)
            {
                throw new InitException(Kernel.Errno, "prctl PR_CAPBSET_DROP");
            }
        }
    }

    /// <summary>What no process of the sandbox may ever have again.</summary>
    private void LimitCapabilities()
    {
        Kernel.CapabilityHeader header = new() { Version = CapabilityVersion };
        Kernel.CapabilityData* data = stackalloc Kernel.CapabilityData[2];
        for (int i = 0; i < 2; i++)
        {
            uint half = (uint)(capabilities >> (32 * i));
            data[i] = new Kernel.CapabilityData { Effective = half, Permitted = half };
        }

        if (Kernel.SetCapabilities(&header, data) < 0)
        {
            throw new InitException(Kernel.Errno, "capset");
        }
    }
}
