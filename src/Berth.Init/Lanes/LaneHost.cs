using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init.Lanes;

/// <summary>
/// Process 1 of a sandbox that serves many calls: forks lanes on order, and reaps them and whatever a lane left behind
/// that ended before its own. When it ends, the kernel ends them all.
/// </summary>
internal sealed class LaneHost(ControlSocket control) : ForkingHost(control)
{
    /// <summary>Begins with the order for the first lane, just received.</summary>
    public override bool Run()
    {
        FrameMemory.Release();
        // And so the lanes and their programs. It only makes them faster: a kernel that refuses it is no obstacle.
        Kernel.ScheduleAsBatch();
        ProgramLauncher.LetGoOfStreams();
        return TryFork(Control.TakeAll()) || Obey();
    }

    protected override bool TryObey(FrameType type, int[] descriptors, out bool isChild)
    {
        isChild = type == FrameType.Lane && TryFork(descriptors);
        return type == FrameType.Lane;
    }

    /// <summary>True in the child.</summary>
    private static bool TryFork(int[] descriptors)
    {
        if (descriptors.Length != 1)
        {
            throw new InitException(0, $"{descriptors.Length} descriptors came with the order for a lane");
        }

        if (!TryFork(namespaces: 0, descriptors, descriptors[0], "fork of a lane"))
        {
            return false;
        }

        Kernel.Duplicate(descriptors[0], ControlSocket.Descriptor);
        Lockdown.CloseForeign();
        return true;
    }
}
