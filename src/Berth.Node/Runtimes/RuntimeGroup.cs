using Berth.Core.Resources;
using Berth.Node.Cgroups;

namespace Berth.Node.Runtimes;

/// <summary>
/// The control group of one sandbox. A runtime makes it and puts the sandbox into it by what config.json says; for one
/// that leaves groups alone it is made here, and the runtime started within it.
/// </summary>
/// <param name="ignored">Whether the runtime leaves groups alone.</param>
internal sealed class RuntimeGroup(
    ICgroup cgroup, ICgroups cgroups, SandboxLimits limits, bool ignored, string initPath)
{
    /// <summary>
    /// What runs on a kernel of its own takes two of this machine's threads for each of its own, and that kernel
    /// and its file server some more.
    /// </summary>
    private const int ThreadsEach = 2;
    private const int OwnThreads = 128;

    /// <summary>A runtime that runs in the group needs this much to start.</summary>
    private static readonly ByteSize LeastMemory = ByteSize.MiB(96);

    /// <summary>What starts a command of the runtime's within the group; empty where it gets there by itself.</summary>
    public IReadOnlyList<string> Entry { get; private set; } = [];

    /// <summary>Called once, before the container is made.</summary>
    public void Make()
    {
        if (ignored)
        {
            long memory = Math.Max(limits.Memory.Bytes, LeastMemory.Bytes);
            IReadOnlyList<string> files = cgroup.Make(new CgroupLimits(
                ByteSize.FromBytes(memory), limits.Cpu, (limits.Pids * ThreadsEach) + OwnThreads));
            Entry = [initPath, "enter-groups", .. files, "--"];
        }
    }

    /// <summary>Whether a process of the sandbox's is where its limits hold.</summary>
    public bool Has(int pid)
    {
        string membership = $"/proc/{pid}/cgroup";
        return File.Exists(membership)
            && cgroups.FolderOf(File.ReadLines(membership))?.EndsWith(cgroup.Path, StringComparison.Ordinal) == true;
    }
}
