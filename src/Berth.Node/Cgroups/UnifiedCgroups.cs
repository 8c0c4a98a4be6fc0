using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Node.Cgroups;

/// <summary>
/// Version 2: one hierarchy (kernel document admin-guide/cgroup-v2.rst). Needs Linux 5.14 for cgroup.kill; memory.peak
/// is there since 5.19, and can be reset since 6.12.
/// </summary>
public sealed class UnifiedCgroups(string mountPoint) : ICgroups
{
    public int Version => 2;

    /// <summary>The root group has no memory.swap.* files; the controller's presence is what counts, and runc ignores
    /// a kernel without swap accounting.</summary>
    public bool CanLimitSwap => true;

    public ICgroup At(string path) => new UnifiedCgroup(path, mountPoint);

    public IReadOnlySet<string> ChildrenOf(string path)
    {
        string folder = mountPoint + path;
        return Directory.Exists(folder)
            ? Directory.EnumerateDirectories(folder).Select(d => System.IO.Path.GetFileName(d)).ToHashSet()
            : [];
    }

    public string? FolderOf(IEnumerable<string> membership) =>
        CgroupMembership.FolderOf(mountPoint, membership, controller: "");

    private sealed class UnifiedCgroup(string path, string mountPoint) : ICgroup
    {
        private readonly string folder = mountPoint + path;

        public string Path => path;

        /// <summary>All of it stands in one file.</summary>
        public CgroupUsage ReadUsage(bool withSplit = true)
        {
            long usage = 0;
            long user = 0;
            long system = 0;
            foreach ((string key, long value) in CgroupFile.ReadTable(folder + "/cpu.stat"))
            {
                switch (key)
                {
                    case "usage_usec":
                        usage = value;
                        break;
                    case "user_usec":
                        user = value;
                        break;
                    case "system_usec":
                        system = value;
                        break;
                }
            }

            return new CgroupUsage(
                TimeSpan.FromMicroseconds(usage), TimeSpan.FromMicroseconds(user), TimeSpan.FromMicroseconds(system),
                ByteSize.FromBytes(ReadPeak()));
        }

        public TimeSpan ReadCpu() =>
            TimeSpan.FromMicroseconds(CgroupFile.ReadKey(folder + "/cpu.stat", "usage_usec"));

        public ByteSize ReadMemory() => ByteSize.FromBytes(CgroupFile.ReadNumber(folder + "/memory.current"));

        public ByteSize ReadFilesInMemory() =>
            ByteSize.FromBytes(CgroupFile.ReadKey(folder + "/memory.stat", "shmem"));

        public void Freeze() => CgroupFile.Write(folder + "/cgroup.freeze", "1");

        public void Thaw() => CgroupFile.Write(folder + "/cgroup.freeze", "0");

        public IReadOnlyList<int> ReadProcesses() => CgroupFile.ReadPids(folder + "/cgroup.procs");

        public long ReadOutOfMemoryKills() => CgroupFile.ReadKey(folder + "/memory.events", "oom_kill");

        /// <summary>A reset through memory.peak holds only for the descriptor it was written to, so the group's own
        /// peak stays; it includes the few MiB that making the sandbox took.</summary>
        public void ResetPeak()
        {
        }

        public IReadOnlyList<string> Make(CgroupLimits limits)
        {
            // A controller reaches a group through all above it ("Controlling Controllers", 2-4).
            string parent = mountPoint;
            foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
            {
                CgroupFile.Write(parent + "/cgroup.subtree_control", "+cpu +memory +pids");
                parent = Directory.CreateDirectory($"{parent}/{name}").FullName;
            }

            CgroupFile.Write(
                folder + "/cpu.max",
                string.Create(
                    CultureInfo.InvariantCulture, $"{limits.QuotaMicroseconds} {CgroupLimits.PeriodMicroseconds}"));
            if (File.Exists(folder + "/memory.swap.max"))
            {
                CgroupFile.Write(folder + "/memory.swap.max", "0");
            }

            Tighten(limits.Memory, limits.Pids);
            return [folder + "/cgroup.procs"];
        }

        public void Tighten(ByteSize? memory, int? pids)
        {
            if (memory is { } bytes)
            {
                CgroupFile.Write(folder + "/memory.max", bytes.Bytes.ToString());
            }

            if (pids is { } count)
            {
                CgroupFile.Write(folder + "/pids.max", count.ToString());
            }
        }

        public void Kill()
        {
            try
            {
                CgroupFile.Write(folder + "/cgroup.kill", "1");
            }
            catch (IOException error) when (CgroupFile.IsGone(error))
            {
                // Nothing left to kill.
            }
        }

        public bool IsPopulated()
        {
            try
            {
                return CgroupFile.ReadKey(folder + "/cgroup.events", "populated") != 0;
            }
            catch (IOException error) when (CgroupFile.IsGone(error))
            {
                return false;
            }
        }

        public bool TryRemove() => CgroupFolders.TryRemove(folder);

        private long ReadPeak()
        {
            string peak = folder + "/memory.peak";
            return CgroupFile.ReadNumber(File.Exists(peak) ? peak : folder + "/memory.current");
        }
    }
}
