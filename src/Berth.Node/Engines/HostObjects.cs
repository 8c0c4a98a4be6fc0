using Berth.Core.Faults;
using Berth.Core.Resources;
using Berth.Node.Cgroups;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Node.Networks;
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

    private TimeSpan baseline;
    private long baselineKills;
    private volatile bool over;
    private bool isPaused;

    public string Id => id;

    public ICgroup Cgroup => cgroup;

    public OwnerRange? Owner { get; set; }

    public OverlayRoot? Root { get; set; }

    /// <summary>Its place in a network; null where it has none.</summary>
    public Endpoint? Endpoint { get; set; }

    public LastingLayer? Layer { get; set; }

    public InitChannel? Channel { get; set; }

    public PidHandle? Init { get; set; }

    /// <summary>A process in its control groups that is no part of it; null for none.</summary>
    public int? CellHost { get; set; }

    /// <summary>Process ids of this machine's, in no order, the init's among them.</summary>
    public IEnumerable<int> ReadProcesses() => cgroup.ReadProcesses().Where(id => id != CellHost);

    /// <summary>Its end has begun: the control groups may be another sandbox's from now on.</summary>
    public bool IsOver => over;

    /// <summary>What was used until now, in making the sandbox or by an earlier one, is not its program's.</summary>
    public void BeginUsage()
    {
        baseline = cgroup.ReadCpu();
        baselineKills = cgroup.ReadOutOfMemoryKills();
    }

    public void Pause()
    {
        if (!over)
        {
            isPaused = true;
            cgroup.Freeze();
        }
    }

    public void Resume()
    {
        if (!over)
        {
            Thaw();
        }
    }

    /// <summary>The sum is exact; user and kernel mode are those of all that the group has seen, which tell how it is
    /// split. Throws IOException once it is over.</summary>
    public SandboxUsage ReadUsage(bool withSplit)
    {
        CgroupUsage now = Living().ReadUsage(withSplit);
        return new SandboxUsage(now with { Cpu = now.Cpu - baseline }, cgroup.ReadOutOfMemoryKills() - baselineKills);
    }

    /// <summary>Throws IOException once it is over.</summary>
    public ByteSize ReadMemory() => Living().ReadMemory();

    /// <summary>Throws IOException once it is over.</summary>
    public ByteSize ReadFilesInMemory() => Living().ReadFilesInMemory();

    /// <summary>Whether nothing is left. Otherwise the next sweep finds what is.</summary>
    public async Task<bool> RemoveAsync()
    {
        await EndAsync();
        CrashPoints.Reach(CrashPoint.InitKilled);
        Endpoint?.Dispose();
        Root?.Detach();
        if (Endpoint is not null)
        {
            Endpoint.UnmountSystem(folders.Of(id));
        }

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

    /// <summary>Ends every process. False when there may be some left: that took longer than it ever should, or there
    /// is no init to tell.</summary>
    public async Task<bool> EndAsync()
    {
        // The init is process 1 of the sandbox's pid namespace: the kernel ends everything in there with it, and lets
        // it be waited for only when all of that is gone (pid_namespaces(7)).
        Init?.Signal(PidHandle.SigKill);
        over = true;
        if (isPaused)
        {
            // On version 1 a frozen process does not even die.
            Thaw();
        }

        bool ended = Init is { } init && await HasEndedAsync(init);
        if (Channel is { } channel)
        {
            if (ended)
            {
                // Nobody has the other end any more.
                await channel.WaitClosedAsync();
            }

            await channel.DisposeAsync();
        }

        return ended;
    }

    private ICgroup Living() => over ? throw new IOException($"Sandbox {id} was removed.") : cgroup;

    private void Thaw()
    {
        cgroup.Thaw();
        isPaused = false;
    }

    private async Task<bool> HasEndedAsync(PidHandle init)
    {
        try
        {
            await init.Exited.WaitAsync(InitPatience, time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
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
