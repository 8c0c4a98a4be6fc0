using System.Text;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Sweeps;

/// <summary>
/// Finds and removes host objects that belong to no living sandbox: after this process's predecessor was killed at any
/// point, and whenever a removal did not succeed. Looks only at what carries this server's instance in its name.
/// </summary>
internal sealed class Leftovers(
    EngineFolders folders, ICgroups cgroups, ReadinessPoller poller, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AllPatience = 2 * Patience;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly byte[] runcMark = Encoding.UTF8.GetBytes($"\0--root\0{folders.RuncState}\0");
    private readonly byte[][] runtimeMarks =
    [
        Encoding.UTF8.GetBytes($"\0--root\0{folders.Sandboxes}/"),
        Encoding.UTF8.GetBytes($"\0--root={folders.Sandboxes}/"),
    ];

    private readonly byte[] initMark = Encoding.UTF8.GetBytes($"{folders.Root}/");

    /// <summary>
    /// Everything; for the start, when nothing of ours can be living, and for the end. Looks until there is nothing to
    /// be found: a child that a killed predecessor had just forked looks like anybody's until it executes runc. From
    /// the first look on there is no bundle that such a runc could make a container of. False where something would not
    /// go.
    /// </summary>
    public async Task<bool> RemoveAllAsync(CancellationToken cancellationToken)
    {
        int removed = 0;
        long begun = time.GetTimestamp();
        bool isGone;
        while (true)
        {
            // First those that could make more.
            int found = await KillProgramsAsync(cancellationToken);
            found += await RemoveCgroupsAsync(_ => false, cancellationToken);
            bool parentGone = cgroups.At(folders.CgroupParent).TryRemove();
            bool treeStood = folders.Exist;
            removed += found + folders.Remove();
            isGone = found == 0 && parentGone && !treeStood;
            if (isGone || time.GetElapsedTime(begun) > AllPatience)
            {
                break;
            }

            if (!parentGone)
            {
                await Task.Delay(Pause, time, cancellationToken);
            }
        }

        Report(removed);
        return isGone;
    }

    /// <summary>Everything but the sandboxes that <paramref name="isLiving"/> knows.</summary>
    public async Task<int> RemoveExceptAsync(Func<string, bool> isLiving, CancellationToken cancellationToken)
    {
        int removed = await RemoveCgroupsAsync(isLiving, cancellationToken);
        foreach (string parent in new[] { folders.Sandboxes, folders.RuncState })
        {
            foreach (string folder in Directory.Exists(parent) ? Directory.GetDirectories(parent) : [])
            {
                if (!isLiving(Path.GetFileName(folder)))
                {
                    removed += RemoveFolder(folder);
                }
            }
        }

        Report(removed);
        return removed;
    }

    private static int RemoveFolder(string folder)
    {
        try
        {
            Mounts.Unmount(folder + "/fs", lazy: true);
            Mounts.Unmount(folder + "/disk", lazy: true);
            Directory.Delete(folder, recursive: true);
            return 1;
        }
        catch (DirectoryNotFoundException)
        {
            // Its sandbox was just being removed.
            return 0;
        }
    }

    private async Task<int> RemoveCgroupsAsync(Func<string, bool> isLiving, CancellationToken cancellationToken)
    {
        int removed = 0;
        foreach (string id in cgroups.ChildrenOf(folders.CgroupParent).Where(id => !isLiving(id)))
        {
            ICgroup cgroup = cgroups.At(folders.CgroupOf(id));
            long begun = time.GetTimestamp();
            bool gone;
            do
            {
                cgroup.Kill();
                gone = cgroup.TryRemove();
                if (!gone)
                {
                    await Task.Delay(Pause, time, cancellationToken);
                }
            }
            while (!gone && time.GetElapsedTime(begun) < Patience);

            if (gone)
            {
                removed++;
            }
            else
            {
                Log.CgroupStuck(logger, cgroup.Path);
            }
        }

        return removed;
    }

    /// <summary>
    /// Ends what outlived the server that started it, and waits: a killed program still finishes the system call it is
    /// in, which may make a folder.
    /// </summary>
    private async Task<int> KillProgramsAsync(CancellationToken cancellationToken)
    {
        int killed = 0;
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out int pid) || !IsOurs(folder))
            {
                continue;
            }

            try
            {
                using PidHandle program = PidHandle.Open(pid, poller);
                // Asked again, now that the number can't become another's.
                if (IsOurs(folder) && program.Signal(PidHandle.SigKill))
                {
                    killed++;
                    await program.Exited.WaitAsync(Patience, time, cancellationToken);
                }
            }
            catch (LinuxException error) when (error.Errno == Errno.NoSuchProcess)
            {
                // Ended between the listing and the look.
            }
            catch (TimeoutException)
            {
                Log.ProgramStuck(logger, pid);
            }
        }

        return killed;
    }

    /// <summary>
    /// Every runtime is known by its state folder in its arguments, berth-init outside of a sandbox by its own path.
    /// </summary>
    private bool IsOurs(string processFolder)
    {
        try
        {
            ReadOnlySpan<byte> line = File.ReadAllBytes(processFolder + "/cmdline");
            return line.IndexOf(runcMark) >= 0 || line.StartsWith(initMark)
                || line.IndexOf(runtimeMarks[0]) >= 0 || line.IndexOf(runtimeMarks[1]) >= 0;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Ended between the listing and the look.
            return false;
        }
    }

    private void Report(int removed)
    {
        if (removed > 0)
        {
            Log.LeftoversRemoved(logger, removed);
        }
    }
}
