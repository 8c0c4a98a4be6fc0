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
internal sealed class Leftovers(EngineFolders folders, ICgroups cgroups, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Everything; for the start, when nothing of ours can be living, and for the end.</summary>
    public async Task<int> RemoveAllAsync(CancellationToken cancellationToken)
    {
        // First those that could make more.
        int removed = KillRunc();
        removed += await RemoveCgroupsAsync(_ => false, cancellationToken);
        cgroups.At(folders.CgroupParent).TryRemove();
        removed += folders.Remove();
        Report(removed);
        return removed;
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
            cgroup.Kill();
            while (!cgroup.TryRemove())
            {
                if (time.GetElapsedTime(begun) > Patience)
                {
                    Log.CgroupStuck(logger, cgroup.Path);
                    break;
                }

                await Task.Delay(Pause, time, cancellationToken);
                cgroup.Kill();
            }

            removed++;
        }

        return removed;
    }

    /// <summary>A runc that outlived the server that started it is known by its state folder in its
    /// arguments.</summary>
    private int KillRunc()
    {
        byte[] mark = Encoding.UTF8.GetBytes($"\0--root\0{folders.RuncState}\0");
        int killed = 0;
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out int pid))
            {
                continue;
            }

            try
            {
                if (File.ReadAllBytes(folder + "/cmdline").AsSpan().IndexOf(mark) >= 0
                    && Signals.Send(pid, PidHandle.SigKill))
                {
                    killed++;
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Ended between the listing and the look.
            }
        }

        return killed;
    }

    private void Report(int removed)
    {
        if (removed > 0)
        {
            Log.LeftoversRemoved(logger, removed);
        }
    }
}
