using Berth.Core.Faults;
using Berth.Node.Cgroups;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Node.RootFilesystems;

namespace Berth.Node.Engines;

/// <summary>
/// Everything this machine holds for one sandbox, filled in as it is made. Removing works on any part of it, any
/// number of times, and needs no runc.
/// </summary>
internal sealed class HostObjects(string id, EngineFolders folders, ICgroup cgroup, OwnerRanges owners,
    TimeProvider time)
{
    private static readonly TimeSpan InitPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CgroupPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan CgroupPause = TimeSpan.FromMilliseconds(2);

    public string Id => id;

    public ICgroup Cgroup => cgroup;

    public OwnerRange? Owner { get; set; }

    public OverlayRoot? Root { get; set; }

    public LastingLayer? Layer { get; set; }

    public InitChannel? Channel { get; set; }

    public PidHandle? Init { get; set; }

    public bool IsPaused { get; set; }

    /// <summary>Whether nothing is left. Otherwise the next sweep finds what is.</summary>
    public async Task<bool> RemoveAsync()
    {
        // The init is process 1 of the sandbox's pid namespace: the kernel ends everything in there with it, and lets
        // it be waited for only when all of that is gone (pid_namespaces(7)).
        Init?.Signal(PidHandle.SigKill);
        if (IsPaused)
        {
            // On version 1 a frozen process does not even die.
            cgroup.Thaw();
            IsPaused = false;
        }

        if (Channel is { } channel)
        {
            await channel.DisposeAsync();
        }

        if (Init is { } init)
        {
            await Task.WhenAny(init.Exited, Task.Delay(InitPatience, time));
        }

        CrashPoints.Reach(CrashPoint.InitKilled);
        Root?.Detach();
        CrashPoints.Reach(CrashPoint.RootDetached);
        if (!await RemoveCgroupAsync())
        {
            return false;
        }

        CrashPoints.Reach(CrashPoint.CgroupRemoved);
        Init?.Dispose();
        DeleteFolder(folders.StateOf(id));
        DeleteFolder(folders.Of(id));
        CrashPoints.Reach(CrashPoint.SandboxRemoved);
        Layer?.Dispose();
        if (Owner is { } owner)
        {
            Owner = null;
            owners.Return(owner);
        }

        return true;
    }

    private async Task<bool> RemoveCgroupAsync()
    {
        long begun = time.GetTimestamp();
        while (!cgroup.TryRemove())
        {
            if (time.GetElapsedTime(begun) > CgroupPatience)
            {
                return false;
            }

            cgroup.Kill();
            await Task.Delay(CgroupPause, time);
        }

        return true;
    }

    private static void DeleteFolder(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
