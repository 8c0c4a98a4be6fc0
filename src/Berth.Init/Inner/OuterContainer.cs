using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Inner;

/// <summary>
/// The life of an outer container, in which no program ever runs: on order it forks cells, each of which forks
/// sandboxes with namespaces and a root of their own. Such a child is a sandbox's init from there on, and can do no
/// more than any other.
/// </summary>
internal sealed unsafe class OuterContainer(ControlSocket control, InnerRoot root, ulong capabilities)
    : ForkingHost(control)
{
    private const int HighestCapability = 63;

    /// <summary>Once, before it obeys.</summary>
    public void Prepare()
    {
        InnerRoot.PrepareOuter();
        LimitBounds();
    }

    protected override bool TryObey(FrameType type, int[] descriptors, out bool isChild)
    {
        isChild = false;
        if (type != FrameType.Cell || descriptors.Length < 2)
        {
            return false;
        }

        int connection = descriptors[^1];
        if (TryFork(namespaces: 0, descriptors, connection, "clone of a sandbox"))
        {
            Kernel.Duplicate(connection, ControlSocket.Descriptor);
            CellHost.Enter(descriptors.AsSpan()[..^1]);
            Lockdown.CloseForeign();
            // Its end is the node's: this process has nothing more to do then.
            isChild = new CellHost(Control, root, capabilities).Run();
            return isChild;
        }

        return true;
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
}
