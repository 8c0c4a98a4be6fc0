using Berth.Core.Resources;

namespace Berth.Node.Cgroups;

// Vocabulary: a path is what stands after the mount point, the same in every hierarchy, for instance
// /berth-1a2b3c/01jd…; runc makes the group and sets its limits, this room reads, tightens, ends and removes it.

/// <summary>The kernel's control groups as this machine has them mounted.</summary>
public interface ICgroups
{
    /// <summary>1 for version 1 and for the hybrid layout (controllers in version 1), 2 for the unified one.</summary>
    int Version { get; }

    /// <summary>Whether swap can be limited; then a sandbox gets none.</summary>
    bool CanLimitSwap { get; }

    /// <summary>The group at a path; it need not exist.</summary>
    ICgroup At(string path);

    /// <summary>Names of the groups right below a path, in whichever hierarchy they are left.</summary>
    IReadOnlySet<string> ChildrenOf(string path);

    /// <summary>
    /// Folder of the group that a process is in, in one of the hierarchies; null when it is not in sight.
    /// </summary>
    /// <param name="membership">Lines of the process's /proc/PID/cgroup (cgroups(7)).</param>
    string? FolderOf(IEnumerable<string> membership);
}

/// <summary>The group of one sandbox. Reading one that is gone throws; ending and removing it do nothing.</summary>
public interface ICgroup
{
    string Path { get; }

    /// <param name="withSplit">Whether user and kernel mode are wanted apart; else they may be zero.</param>
    CgroupUsage ReadUsage(bool withSplit = true);

    /// <summary>Processor time of all processes since the group was made.</summary>
    TimeSpan ReadCpu();

    /// <summary>Bytes charged to the group now; the page cache of its files is among them.</summary>
    ByteSize ReadMemory();

    /// <summary>Bytes of that which are files that live in memory: nothing frees them but their end.</summary>
    ByteSize ReadFilesInMemory();

    /// <summary>Times the kernel ended a process of the group at its memory limit.</summary>
    long ReadOutOfMemoryKills();

    /// <summary>
    /// Begins the peak of memory anew where the kernel can: what making the sandbox took is not the program's.
    /// </summary>
    void ResetPeak();

    /// <summary>
    /// Makes the group with its limits, for a runtime that leaves that to others. Returns the files that a process
    /// joins it by, writing 0 to each.
    /// </summary>
    IReadOnlyList<string> Make(CgroupLimits limits);

    /// <summary>From now on what is read of it for each run stays open, until it is removed: for a group that serves
    /// many.</summary>
    void KeepFiles()
    {
    }

    /// <summary>Lowers limits below what runc itself needs to make a container.</summary>
    void Tighten(ByteSize? memory, int? pids);

    /// <summary>
    /// SIGKILL to every process in the group, those being forked included. Returns before they are gone.
    /// </summary>
    void Kill();

    /// <summary>Stops every process of the group where it stands. Returns before all of them have.</summary>
    void Freeze();

    void Thaw();

    /// <summary>Process ids of this machine's, in no order.</summary>
    IReadOnlyList<int> ReadProcesses();

    bool IsPopulated();

    /// <summary>False while processes are left in it.</summary>
    bool TryRemove();
}

/// <param name="Pids">Processes and threads.</param>
public sealed record CgroupLimits(ByteSize Memory, CpuQuota Cpu, int Pids)
{
    /// <summary>Of the processor's quota.</summary>
    public const int PeriodMicroseconds = 100_000;

    public long QuotaMicroseconds => (long)Cpu.Millicores * PeriodMicroseconds / 1000;

    /// <summary>cpu.shares of version 1: 1024 a core.</summary>
    public long Shares => Math.Clamp(Cpu.Millicores * 1024L / 1000, 2, 262_144);
}

/// <param name="Cpu">Processor time of all processes since the group was made.</param>
/// <param name="PeakMemory">Since the last reset, or since the group was made.</param>
public sealed record CgroupUsage(TimeSpan Cpu, TimeSpan CpuUser, TimeSpan CpuSystem, ByteSize PeakMemory);
