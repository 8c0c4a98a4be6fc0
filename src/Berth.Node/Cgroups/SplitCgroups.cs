using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Node.Cgroups;

/// <summary>
/// Version 1: a hierarchy per controller (kernel documents admin-guide/cgroup-v1/*.rst). In the hybrid layout a
/// hierarchy of version 2 without controllers stands beside them; runc joins it too, and its cgroup.kill ends a group
/// in one atomic step where version 1 needs freeze, kill, thaw.
/// </summary>
public sealed class SplitCgroups : ICgroups
{
    private readonly IReadOnlyDictionary<string, string> mounts;
    private readonly string? unified;

    /// <param name="mounts">Mount point by controller; <c>name=systemd</c> counts as one.</param>
    /// <param name="unified">Mount point of the hybrid layout's version 2 hierarchy.</param>
    public SplitCgroups(IReadOnlyDictionary<string, string> mounts, string? unified)
    {
        this.mounts = mounts;
        this.unified = unified;
        CanLimitSwap = File.Exists(mounts["memory"] + "/memory.memsw.limit_in_bytes");
    }

    public int Version => 1;

    public bool CanLimitSwap { get; }

    public ICgroup At(string path) => new SplitCgroup(path, this);

    public IReadOnlySet<string> ChildrenOf(string path) => Hierarchies()
        .Select(mount => mount + path)
        .Where(Directory.Exists)
        .SelectMany(Directory.EnumerateDirectories)
        .Select(d => System.IO.Path.GetFileName(d))
        .ToHashSet();

    public string? FolderOf(IEnumerable<string> membership) =>
        CgroupMembership.FolderOf(mounts["pids"], membership, "pids");

    private IEnumerable<string> Hierarchies()
    {
        IEnumerable<string> all = mounts.Values;
        return (unified is null ? all : all.Append(unified)).Distinct();
    }

    private sealed class SplitCgroup(string path, SplitCgroups root) : ICgroup
    {
        private KeptFiles? kept;

        public string Path => path;

        public void KeepFiles() => kept ??= new KeptFiles();

        public CgroupUsage ReadUsage(bool withSplit = true)
        {
            string cpu = root.mounts["cpuacct"] + path;
            return new CgroupUsage(
                ReadCpu(),
                withSplit ? Nanoseconds(cpu + "/cpuacct.usage_user") : TimeSpan.Zero,
                withSplit ? Nanoseconds(cpu + "/cpuacct.usage_sys") : TimeSpan.Zero,
                ByteSize.FromBytes(ReadNumber(Memory + "/memory.max_usage_in_bytes")));
        }

        public TimeSpan ReadCpu() => Nanoseconds(root.mounts["cpuacct"] + path + "/cpuacct.usage");

        public ByteSize ReadMemory() =>
            ByteSize.FromBytes(ReadNumber(Memory + "/memory.usage_in_bytes"));

        public ByteSize ReadFilesInMemory() =>
            ByteSize.FromBytes(CgroupFile.ReadKey(Memory + "/memory.stat", "shmem"));

        public void Freeze() => CgroupFile.Write(Freezer, "FROZEN");

        public void Thaw() => CgroupFile.Write(Freezer, "THAWED");

        public IReadOnlyList<int> ReadProcesses() => CgroupFile.ReadPids(Memory + "/cgroup.procs");

        public long ReadOutOfMemoryKills()
        {
            const string Key = "oom_kill";
            string file = Memory + "/memory.oom_control";
            return kept is { } files ? files.ReadKey(file, Key) : CgroupFile.ReadKey(file, Key);
        }

        /// <summary>Any write sets the peak to the current usage (memory.rst, 5.1).</summary>
        public void ResetPeak() => CgroupFile.Write(Memory + "/memory.max_usage_in_bytes", "0");

        public IReadOnlyList<string> Make(CgroupLimits limits)
        {
            string[] folders =
            [
                .. new[] { "memory", "cpu", "cpuacct", "pids", "freezer" }.Select(c => root.mounts[c])
                    .Concat(root.unified is { } unified ? [unified] : [])
                    .Distinct().Select(mount => Directory.CreateDirectory(mount + path).FullName),
            ];
            string cpu = root.mounts["cpu"] + path;
            CgroupFile.Write(cpu + "/cpu.cfs_period_us", Number(CgroupLimits.PeriodMicroseconds));
            CgroupFile.Write(cpu + "/cpu.cfs_quota_us", Number(limits.QuotaMicroseconds));
            CgroupFile.Write(cpu + "/cpu.shares", Number(limits.Shares));
            Tighten(limits.Memory, limits.Pids);
            return [.. folders.Select(folder => folder + "/cgroup.procs")];
        }

        public void Tighten(ByteSize? memory, int? pids)
        {
            if (memory is { } bytes)
            {
                // Memory alone can never be more than memory and swap together, so it is lowered first.
                CgroupFile.Write(Memory + "/memory.limit_in_bytes", bytes.Bytes.ToString());
                if (root.CanLimitSwap)
                {
                    CgroupFile.Write(Memory + "/memory.memsw.limit_in_bytes", bytes.Bytes.ToString());
                }
            }

            if (pids is { } count)
            {
                CgroupFile.Write(root.mounts["pids"] + path + "/pids.max", count.ToString());
            }
        }

        public void Kill()
        {
            if (root.unified is { } mount)
            {
                TryWrite(mount + path + "/cgroup.kill", "1");
            }

            // Frozen processes can't fork, so one reading of the lists has them all; they die of the signal when thawed
            // (freezer-subsystem.rst). One that joined only some hierarchies before its runc died is found too.
            bool frozen = TryWrite(Freezer, "FROZEN");
            foreach (int pid in Pids().ToHashSet())
            {
                Linux.Signals.Send(pid, Linux.PidHandle.SigKill);
            }

            if (frozen)
            {
                TryWrite(Freezer, "THAWED");
            }
        }

        public bool IsPopulated() => Pids().Any();

        public bool TryRemove()
        {
            kept?.Dispose();
            bool removed = true;
            foreach (string mount in root.Hierarchies())
            {
                removed &= CgroupFolders.TryRemove(mount + path);
            }

            return removed;
        }

        private string Memory => root.mounts["memory"] + path;

        private string Freezer => root.mounts["freezer"] + path + "/freezer.state";

        private IEnumerable<int> Pids() =>
            root.Hierarchies().SelectMany(mount => CgroupFile.ReadPids(mount + path + "/cgroup.procs"));

        /// <summary>False when there is no such file: the group is gone, or the kernel too old.</summary>
        private static bool TryWrite(string file, string value)
        {
            try
            {
                CgroupFile.Write(file, value);
                return true;
            }
            catch (IOException error) when (CgroupFile.IsGone(error))
            {
                return false;
            }
        }

        private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

        private TimeSpan Nanoseconds(string file) => TimeSpan.FromTicks(ReadNumber(file) / 100);

        private long ReadNumber(string file) =>
            kept is { } files ? files.ReadNumber(file) : CgroupFile.ReadNumber(file);
    }
}
