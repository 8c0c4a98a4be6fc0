using Berth.Init.Linux;

namespace Berth.Init.Inner;

/// <summary>
/// A place for one sandbox at a time: its control groups and its network, which outlast the sandbox because making them
/// costs more than all the rest. Nothing of a sandbox can be left in them: its processes are gone before the next one
/// comes, and nobody in it may configure either.
/// </summary>
/// <param name="Groups">Files that a process joins its control groups by, writing 0 to each.</param>
/// <param name="Network">A network namespace with nothing but a loopback that is up.</param>
internal sealed record Cell(int[] Groups, int Network)
{
    public static unsafe Cell Make(int[] groups)
    {
        int own = OpenOwnNetwork();
        Check(Kernel.Unshare(Kernel.CLONE_NEWNET), "unshare of the network");
        RaiseLoopback();
        int network = OpenOwnNetwork();
        Check(Kernel.EnterNamespace(own, Kernel.CLONE_NEWNET), "setns to the network");
        Kernel.Close(own);
        return new Cell(groups, network);
    }

    /// <summary>By the process that is to be a sandbox's first.</summary>
    public unsafe void Enter()
    {
        fixed (byte* self = "0"u8)
        {
            foreach (int group in Groups)
            {
                Check((int)Kernel.Write(group, self, 1), "joining a control group");
            }
        }

        Check(Kernel.EnterNamespace(Network, Kernel.CLONE_NEWNET), "setns to the network");
    }

    private static unsafe int OpenOwnNetwork()
    {
        fixed (byte* path = "/proc/self/ns/net\0"u8)
        {
            int fd = Kernel.Open(path, Kernel.O_RDONLY | Kernel.O_CLOEXEC);
            Check(fd, "open /proc/self/ns/net");
            return fd;
        }
    }

    private static unsafe void RaiseLoopback()
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
