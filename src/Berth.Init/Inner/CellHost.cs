using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Inner;

/// <summary>
/// The process of a cell: a place for one sandbox at a time, whose control groups and network outlast it because making
/// and joining them costs more than much of the rest. It is in them, and what it forks is born there. Nothing of a
/// sandbox can be left in them: its processes are gone before the next one comes, and nobody in it may configure
/// either, nor see or signal this process, which is in no sandbox's pid namespace.
/// </summary>
internal sealed unsafe class CellHost(ControlSocket control, InnerRoot root, ulong capabilities) : ForkingHost(control)
{
    private const int OwnNamespaces =
        Kernel.CLONE_NEWPID | Kernel.CLONE_NEWNS | Kernel.CLONE_NEWIPC | Kernel.CLONE_NEWUTS;

    private const uint CapabilityVersion = 0x20080522;

    /// <summary>Once, in the process that is to be one: a network with nothing but a loopback that is up, and its
    /// control groups.</summary>
    /// <param name="groups">Files that a process joins them by, writing 0 to each.</param>
    public static void Enter(ReadOnlySpan<int> groups)
    {
        Check(Kernel.Unshare(Kernel.CLONE_NEWNET), "unshare of the network");
        RaiseLoopback();
        fixed (byte* self = "0"u8)
        {
            foreach (int group in groups)
            {
                Check((int)Kernel.Write(group, self, 1), "joining a control group");
            }
        }

        Check(Kernel.Unshare(Kernel.CLONE_NEWCGROUP), "unshare of the control groups");
    }

    protected override bool TryObey(FrameType type, int[] descriptors, out bool isChild)
    {
        isChild = false;
        if (type != FrameType.Spawn || descriptors.Length != FrameLimits.SpawnDescriptors)
        {
            return false;
        }

        isChild = TryFork(
            OwnNamespaces, descriptors, descriptors[ControlSocket.Descriptor], "clone of a sandbox");
        if (isChild)
        {
            Become(descriptors);
        }

        return true;
    }

    private void Become(int[] descriptors)
    {
        // What came lies above these, for they were never closed.
        for (int i = 0; i < descriptors.Length; i++)
        {
            Kernel.Duplicate(descriptors[i], i);
        }

        Lockdown.CloseForeign();
        root.Enter();
        LimitCapabilities();
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

        Check(Kernel.SetCapabilities(&header, data), "capset");
    }

    private static void RaiseLoopback()
    {
        int socket = Kernel.DatagramSocket();
        Check(socket, "socket");
        Kernel.InterfaceFlags device = default;
        "lo"u8.CopyTo(new Span<byte>(device.Name, 16));
        Check(Kernel.Control(socket, Kernel.SIOCGIFFLAGS, &device), "ioctl SIOCGIFFLAGS");
        device.Flags |= Kernel.IFF_UP;
        Check(Kernel.Control(socket, Kernel.SIOCSIFFLAGS, &device), "ioctl SIOCSIFFLAGS");
        Kernel.Close(socket);
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
        {
            throw new InitException(Kernel.Errno, call);
        }
    }
}
