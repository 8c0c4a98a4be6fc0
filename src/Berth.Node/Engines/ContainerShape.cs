using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Init.Protocol;
using Berth.Node.RootFilesystems;

namespace Berth.Node.Engines;

/// <summary>
/// What every sandbox's config.json says, whoever runs in it: namespaces, capabilities, mounts, masked paths, limits.
/// The program itself, its user and its environment go to the init later.
/// </summary>
internal static class ContainerShape
{
    /// <summary>Where the init stands in the sandbox: below /dev, which is the runtime's own tmpfs, so that nothing of
    /// the image can be in the way.</summary>
    public const string InitPath = SandboxTool.Path;

    /// <summary>runc's own init needs this much before it becomes ours; smaller limits are set afterwards.</summary>
    public static readonly ByteSize LeastMemory = ByteSize.MiB(48);
    public const int LeastPids = 32;

    /// <summary>What an outer container is bounded by: its init alone, and what the kernel keeps for namespaces. Its
    /// sandboxes have limits of their own.</summary>
    public static SandboxLimits OuterLimits { get; } = new(
        ByteSize.MiB(256), CpuQuota.FromMillicores(Environment.ProcessorCount * 1000), 4096, ByteSize.MiB(4));

    private const ulong MostOpenFiles = 65_536;
    private const int PeriodMicroseconds = 100_000;

    /// <summary>Docker's set without NET_RAW, MKNOD, SYS_CHROOT, AUDIT_WRITE and SETFCAP.</summary>
    public static IReadOnlyList<string> Capabilities { get; } =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP",
    ];

    /// <summary>What the init of an outer container needs beside, to make namespaces and their mounts; all within its
    /// own user namespace.</summary>
    private static readonly string[] OuterCapabilities = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];

    private static readonly string[] MaskedPaths =
    [
        "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];

    private static readonly string[] ReadOnlyPaths =
        ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    private static readonly string[] OwnNamespaces = ["pid", "ipc", "uts", "mount", "cgroup", "user"];

    /// <param name="network">Where the sandbox's place in a network is; null where it has none.</param>
    /// <param name="hardOpenFiles">This process's own hard limit of open files; a container can't have more.</param>
    public static RuntimeConfig Render(
        SandboxSpec spec, SandboxExtras? extras, string root, string hostName, uint owner, string cgroup,
        string initPath, ulong hardOpenFiles, bool canLimitSwap, NetworkPlace? network, bool isOuter = false)
    {
        // The kernel mounts another /proc only where one is in full sight (mount_namespaces(7)); in an outer container
        // nobody looks, and its sandboxes hide the same in theirs.
        IEnumerable<string> hidden = MaskedPaths.Where(p => !isOuter || !IsInProc(p));
        IEnumerable<string> readOnly = ReadOnlyPaths.Where(p => !isOuter || !IsInProc(p));
        string[] capabilities = [.. Capabilities, .. isOuter ? OuterCapabilities : []];
        ulong files = Math.Min(hardOpenFiles, MostOpenFiles);
        RuntimeIdMapping[] ids = [new(0, owner, OwnerRange.Size)];
        IEnumerable<RuntimeNamespace> namespaces = OwnNamespaces.Select(n => new RuntimeNamespace(n));
        if (spec.Network != NetworkMode.Host)
        {
            namespaces = namespaces.Append(new RuntimeNamespace("network", network?.Namespace));
        }

        return new RuntimeConfig(
            "1.0.2",
            new RuntimeProcess(
                new RuntimeUser(0, 0), [InitPath],
                ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "/",
                new RuntimeCapabilities(capabilities, capabilities, capabilities),
                [new("RLIMIT_NOFILE", files, files), new("RLIMIT_CORE", 0, 0)], NoNewPrivileges: true),
            new RuntimeRoot(root, extras?.ReadOnlyRoot ?? false),
            hostName,
            MountsOf(spec, initPath, network),
            new RuntimeLinux(
                ids, ids, cgroup, LimitsOf(spec.Limits, canLimitSwap),
                [.. namespaces],
                [.. hidden], [.. readOnly]));
    }

    /// <summary>The order to an outer container's init: sandboxes within it are to be like any other.</summary>
    public static ReadOnlyMemory<byte> RenderOuter(SandboxLimits limits)
    {
        long capabilities = Capabilities.Aggregate(0L, (all, name) => all | (1L << CapabilityNumber(name)));
        return OuterFrame.Encode(
            capabilities, limits.WritableLayer.Bytes, OverlayRoot.FilesOf(limits.WritableLayer),
            SharedMemoryOf(limits), InProc(MaskedPaths), InProc(ReadOnlyPaths));
    }

    /// <summary>One more than asked: the init is a process too.</summary>
    public static int PidsOf(SandboxLimits limits) => limits.Pids + 1;

    /// <summary>The same, with the lanes.</summary>
    public static int PidsOf(SandboxSpec spec) => PidsOf(spec.Limits) + (spec.Reuse ?? 0);

    private static bool IsInProc(string path) => path.StartsWith("/proc/", StringComparison.Ordinal);

    private static byte[][] InProc(IEnumerable<string> paths) =>
        [.. paths.Where(IsInProc).Select(Encoding.UTF8.GetBytes)];

    private static long SharedMemoryOf(SandboxLimits limits) =>
        Math.Min(limits.Memory.Bytes, ByteSize.MiB(64).Bytes);

    /// <summary>By capability.h.</summary>
    private static int CapabilityNumber(string name) => name switch
    {
        "CAP_CHOWN" => 0,
        "CAP_DAC_OVERRIDE" => 1,
        "CAP_FOWNER" => 3,
        "CAP_FSETID" => 4,
        "CAP_KILL" => 5,
        "CAP_SETGID" => 6,
        "CAP_SETUID" => 7,
        "CAP_SETPCAP" => 8,
        "CAP_NET_BIND_SERVICE" => 10,
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "Not a capability that sandboxes have."),
    };

    private static RuntimeMount[] MountsOf(SandboxSpec spec, string initPath, NetworkPlace? network)
    {
        // Shared memory and /dev are charged to the sandbox's memory like everything on a tmpfs.
        RuntimeMount[] always =
        [
            new("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
            new("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=1024k", "nr_inodes=256"]),
            new("/dev/pts", "devpts", "devpts",
                ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            new("/dev/shm", "tmpfs", "shm",
                ["nosuid", "noexec", "nodev", "mode=1777",
                    $"size={SharedMemoryOf(spec.Limits)}"]),
            new("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            new(InitPath, "bind", initPath, ["bind", "ro", "nosuid", "nodev"]),
        ];
        // sysfs shows the devices of the network namespace it is mounted in, and only that namespace's owner may mount
        // it; on the machine's network the machine's own is shown instead, without its control groups, and in a
        // network one that was mounted in its namespace.
        return spec.Network == NetworkMode.None
            ? [.. always, new("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])]
            :
            [
                .. always,
                new("/sys", "none", network?.SystemFolder ?? "/sys",
                    ["rbind", "rro", "nosuid", "noexec", "nodev", "rprivate"]),
                new("/sys/fs/cgroup", "tmpfs", "tmpfs", ["nosuid", "noexec", "nodev", "ro", "mode=755", "size=4k"]),
            ];
    }

    private static RuntimeResources LimitsOf(SandboxLimits limits, bool canLimitSwap)
    {
        long memory = Math.Max(limits.Memory.Bytes, LeastMemory.Bytes);
        return new RuntimeResources(
            [new RuntimeDeviceRule(false, "rwm")],
            new RuntimeMemory(memory, canLimitSwap ? memory : null),
            new RuntimeCpu(
                (long)limits.Cpu.Millicores * PeriodMicroseconds / 1000, PeriodMicroseconds,
                (ulong)Math.Clamp(limits.Cpu.Millicores * 1024L / 1000, 2, 262_144)),
            new RuntimePids(Math.Max(PidsOf(limits), LeastPids)));
    }
}

/// <summary>What a runtime needs of a sandbox's place in a network.</summary>
/// <param name="Namespace">Path of the namespace.</param>
/// <param name="SystemFolder">Where a sysfs of that namespace is mounted.</param>
internal sealed record NetworkPlace(string Namespace, string SystemFolder);
