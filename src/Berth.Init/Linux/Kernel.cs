using System.Runtime.InteropServices;
using Berth.Init.Protocol;

namespace Berth.Init.Linux;

/// <summary>
/// The system calls of the init, by number (x86_64, asm/unistd_64.h), all through libc's syscall(2). That entry takes
/// no locks, runs no handlers and keeps no books about threads, so the same calls are right in a forked child, where
/// nothing of the runtime may be touched. The transition to the collector is left out for the same reason; a blocking
/// call holds nobody up, because no second thread runs managed code.
/// </summary>
internal static unsafe class Kernel
{
    public const int EPERM = 1;
    public const int EINTR = 4;
    public const int EAGAIN = 11;
    public const int EACCES = 13;
    public const int EEXIST = 17;
    public const int ENOENT = 2;
    public const int ENOMEM = 12;
    public const int ENOTDIR = 20;
    public const int EINVAL = 22;
    public const int ENOEXEC = 8;

    public const int SIGHUP = 1;
    public const int SIGKILL = 9;
    public const int SIGCHLD = 17;
    public const int HighestSignal = 64;

    public const int WNOHANG = 1;
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public const int O_NONBLOCK = 0x800;
    public const int O_CLOEXEC = 0x80000;
    public const int CLOSE_RANGE_CLOEXEC = 4;
    public const int CLONE_VM = 0x100;
    public const int CLONE_VFORK = 0x4000;
    public const int CLONE_NEWNS = 0x00020000;
    public const int CLONE_NEWCGROUP = 0x02000000;
    public const int CLONE_NEWUTS = 0x04000000;
    public const int CLONE_NEWIPC = 0x08000000;
    public const int CLONE_NEWUSER = 0x10000000;
    public const int CLONE_NEWPID = 0x20000000;
    public const int CLONE_NEWNET = 0x40000000;
    public const nuint MS_RDONLY = 1;
    public const nuint MS_NOSUID = 2;
    public const nuint MS_NODEV = 4;
    public const nuint MS_NOEXEC = 8;
    public const nuint MS_REMOUNT = 32;
    public const nuint MS_BIND = 4096;
    public const nuint MS_MOVE = 8192;
    public const nuint MS_REC = 16384;
    public const nuint MS_PRIVATE = 1 << 18;
    public const int PR_CAPBSET_DROP = 24;
    public const int PR_SET_CHILD_SUBREAPER = 36;
    public const nint SIOCGIFFLAGS = 0x8913;
    public const nint SIOCSIFFLAGS = 0x8914;
    public const short IFF_UP = 1;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_CMSG_CLOEXEC = 0x40000000;
    public const int SOL_SOCKET = 1;
    public const int SCM_RIGHTS = 1;
    public const nint TIOCSCTTY = 0x540E;
    public const short POLLIN = 1;

    private const int AT_FDCWD = -100;
    private const int AT_RECURSIVE = 0x8000;
    private const ulong MOUNT_ATTR_RDONLY = 1;

    public static int Errno => *ErrnoLocation();

    public static nint Read(int fd, void* buffer, nint count) => Call(0, fd, (nint)buffer, count);

    /// <summary>ioctl(2) with a number as its argument.</summary>
    public static int Control(int fd, nint request, nint argument) => (int)Call(16, fd, request, argument);

    public static nint Write(int fd, void* buffer, nint count) => Call(1, fd, (nint)buffer, count);

    /// <summary>To standard error.</summary>
    public static void Say(ReadOnlySpan<byte> text)
    {
        fixed (byte* start = text)
        {
            Write(2, start, text.Length);
        }
    }

    public static int Open(byte* path, int flags) => (int)Call(2, (nint)path, flags);

    public static int Close(int fd) => (int)Call(3, fd);

    public static int Stat(byte* path, FileStatus* status) => (int)Call(4, (nint)path, (nint)status);

    public static int FStat(int fd, FileStatus* status) => (int)Call(5, fd, (nint)status);

    /// <summary>Of a link itself.</summary>
    public static int LStat(string path, FileStatus* status)
    {
        fixed (byte* text = System.Text.Encoding.UTF8.GetBytes(path + "\0"))
        {
            return (int)Call(6, (nint)text, (nint)status);
        }
    }

    /// <summary>A second name for a file.</summary>
    public static int Link(string existing, string path)
    {
        fixed (byte* from = System.Text.Encoding.UTF8.GetBytes(existing + "\0"))
        fixed (byte* to = System.Text.Encoding.UTF8.GetBytes(path + "\0"))
        {
            return (int)Call(86, (nint)from, (nint)to);
        }
    }

    public static int Poll(PollEntry* entries, int count, int timeout) => (int)Call(7, (nint)entries, count, timeout);

    public static int SetAction(int signal, SignalAction* action) => (int)Call(13, signal, (nint)action, 0, 8);

    /// <summary>SIG_SETMASK; bit n - 1 stands for signal n.</summary>
    public static int SetMask(ulong blocked) => (int)Call(14, 2, (nint)(&blocked), 0, 8);

    public static int GetPid() => (int)Call(39);

    public static nint Send(int fd, void* buffer, nint count) => Call(44, fd, (nint)buffer, count, MSG_NOSIGNAL);

    public static nint Receive(int fd, MessageHeader* message, int flags) => Call(47, fd, (nint)message, flags);

    /// <summary>fork(2), or with flags clone(2) on a copy of the stack.</summary>
    public static int Fork(int flags = 0) => (int)Call(56, flags | SIGCHLD);

    /// <summary>
    /// vfork(2): a child in this process's memory, on a stack of its own; returns once it has executed or exited. What
    /// it runs must keep to what a forked child may do, and never return.
    /// </summary>
    /// <param name="stack">Its highest address, a multiple of 16.</param>
    public static int ForkSharing(
        delegate*<Programs.ProgramPlan*, void> run, byte* stack, Programs.ProgramPlan* plan) =>
        Clone((nint)run, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, plan);

    public static int Execve(byte* path, byte** arguments, byte** environment) =>
        (int)Call(59, (nint)path, (nint)arguments, (nint)environment);

    public static int Wait4(int pid, int* status, int options, ResourceUsage* usage) =>
        (int)Call(61, pid, (nint)status, options, (nint)usage);

    public static int Kill(int pid, int signal) => (int)Call(62, pid, signal);

    public static int SetNonInheritable(int fd) => (int)Call(72, fd, 2, 1);

    public static int GetWorkingDirectory(byte* buffer, int size) => (int)Call(79, (nint)buffer, size);

    public static int ChangeDirectory(byte* path) => (int)Call(80, (nint)path);

    public static int MakeDirectory(byte* path, int mode) => (int)Call(83, (nint)path, mode);

    public static int ChangeOwner(int fd, uint user, uint group) => (int)Call(93, fd, (nint)user, (nint)group);

    public static int SetFileMask(int mask) => (int)Call(95, mask);

    public static int NewSession() => (int)Call(112);

    /// <summary>Its own, with its process id as the number (setpgid(2)).</summary>
    public static int NewProcessGroup() => (int)Call(109, 0, 0);

    public static int SetGroups(int count, uint* groups) => (int)Call(116, count, (nint)groups);

    public static int SetUser(uint id) => (int)Call(117, (nint)id, (nint)id, (nint)id);

    public static int SetGroup(uint id) => (int)Call(119, (nint)id, (nint)id, (nint)id);

    public static int ProcessControl(int option, nint value) => (int)Call(157, option, value);

    /// <summary>SCHED_BATCH (sched(7)) for this process and those it makes.</summary>
    public static int ScheduleAsBatch()
    {
        const int SCHED_BATCH = 3;
        int priority = 0;
        return (int)Call(144, 0, SCHED_BATCH, (nint)(&priority));
    }

    public static void Exit(int code) => Call(231, code);

    public static int SignalDescriptor(ulong signals) =>
        (int)Call(289, -1, (nint)(&signals), 8, O_NONBLOCK | O_CLOEXEC);

    public static int Duplicate(int from, int to) => (int)Call(33, from, to);

    public static int Pipe(int* ends, int flags) => (int)Call(293, (nint)ends, flags);

    public static int Seccomp(int operation, int flags, FilterProgram* program) =>
        (int)Call(317, operation, flags, (nint)program);

    public static int Mount(byte* source, byte* target, byte* type, nuint flags, byte* options) =>
        (int)Call(165, (nint)source, (nint)target, (nint)type, (nint)flags, (nint)options);

    /// <summary>With MNT_DETACH.</summary>
    public static int Unmount(byte* target) => (int)Call(166, (nint)target, 2);

    public static int PivotRoot(byte* root, byte* old) => (int)Call(155, (nint)root, (nint)old);

    public static int Unshare(int flags) => (int)Call(272, flags);

    /// <summary>socket(2) of AF_INET, SOCK_DGRAM: something to ask about network devices.</summary>
    public static int DatagramSocket() => (int)Call(41, 2, 2 | O_CLOEXEC);

    public static int Control(int fd, nint request, void* argument) => (int)Call(16, fd, request, (nint)argument);

    /// <summary>mount_setattr(2) of the mounts at a path and below.</summary>
    public static int MakeReadOnly(byte* path)
    {
        MountAttributes attributes = new() { Set = MOUNT_ATTR_RDONLY };
        return (int)Call(
            442, AT_FDCWD, (nint)path, AT_RECURSIVE, (nint)(&attributes), sizeof(MountAttributes));
    }

    public static int SetCapabilities(CapabilityHeader* header, CapabilityData* data) =>
        (int)Call(126, (nint)header, (nint)data);

    public static int CloseRange(uint first, uint last, int flags) => (int)Call(436, (nint)first, (nint)last, flags);

    [DllImport("libc", EntryPoint = "syscall"), SuppressGCTransition]
    private static extern nint Call(
        nint number, nint a = 0, nint b = 0, nint c = 0, nint d = 0, nint e = 0, nint f = 0);

    // A raw system call would return twice on one stack; libc's entry begins the child at a function of its own.
    [DllImport("libc", EntryPoint = "clone"), SuppressGCTransition]
    private static extern int Clone(nint run, byte* stack, int flags, void* argument);

    [DllImport("libc", EntryPoint = "__errno_location"), SuppressGCTransition]
    private static extern int* ErrnoLocation();

    /// <summary>The kernel's struct sigaction; all zero is SIG_DFL.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct SignalAction
    {
        public nint Handler;
        public nuint Flags;
        public nint Restorer;
        public ulong Mask;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    /// <summary>struct msghdr with one buffer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public nint Name;
        public nuint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public ControlMessage* Control;
        public nuint ControlLength;
        public nuint Flags;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct IoVector
    {
        public void* Start;
        public nuint Length;
    }

    /// <summary>struct cmsghdr with SCM_RIGHTS of up to eight descriptors (unix(7)).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ControlMessage
    {
        public const int HeaderBytes = 16;

        public nuint Length;
        public int Level;
        public int Type;
        public fixed int Descriptors[FrameLimits.MaxDescriptors];
    }

    /// <summary>struct rusage.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ResourceUsage
    {
        public long UserSeconds;
        public long UserMicroseconds;
        public long SystemSeconds;
        public long SystemMicroseconds;
        public long PeakResidentKibibytes;
        public fixed long Rest[13];
    }

    /// <summary>struct stat, of which the mode and the size count here.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 144)]
    public struct FileStatus
    {
        [FieldOffset(24)]
        public uint Mode;

        [FieldOffset(28)]
        public uint User;

        [FieldOffset(32)]
        public uint Group;

        [FieldOffset(48)]
        public long Size;

        public readonly bool IsRegular => (Mode & 0xF000) == 0x8000;

        public readonly bool IsFolder => (Mode & 0xF000) == 0x4000;
    }

    /// <summary>struct mount_attr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MountAttributes
    {
        public ulong Set;
        public ulong Clear;
        public ulong Propagation;
        public ulong UserNamespace;
    }

    /// <summary>struct __user_cap_header_struct, of _LINUX_CAPABILITY_VERSION_3.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct CapabilityHeader
    {
        public uint Version;
        public int Process;
    }

    /// <summary>struct __user_cap_data_struct: one for capabilities 0 to 31, one for the rest.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct CapabilityData
    {
        public uint Effective;
        public uint Permitted;
        public uint Inheritable;
    }

    /// <summary>struct ifreq with the flags of a device.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 40)]
    public struct InterfaceFlags
    {
        [FieldOffset(0)]
        public fixed byte Name[16];

        [FieldOffset(16)]
        public short Flags;
    }

    /// <summary>struct sock_fprog.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct FilterProgram
    {
        public ushort Length;
        public nint Instructions;
    }
}
