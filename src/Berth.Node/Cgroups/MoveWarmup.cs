namespace Berth.Node.Cgroups;

/// <summary>
/// Makes the next move of a process into a group quick. The kernel lets nobody move before a grace period of RCU has
/// passed (8 ms on an idle machine), and asks for none while the last is still in force. So this process is moved to
/// where it is, on a thread of its own, while a container is still being put together; when runc comes to move the
/// container's first process, the grace period is over.
/// </summary>
internal sealed class MoveWarmup : IDisposable
{
    private readonly ICgroups cgroups;
    private readonly string membership;
    private readonly AutoResetEvent wanted = new(initialState: false);
    private readonly Thread thread;
    private volatile bool stopped;

    /// <param name="membership">File that says where this process is; looked at each time, for it may be moved.</param>
    public MoveWarmup(ICgroups cgroups, string membership = "/proc/self/cgroup")
    {
        this.cgroups = cgroups;
        this.membership = membership;
        thread = new Thread(Work) { IsBackground = true, Name = "Berth move warm-up" };
        thread.Start();
    }

    /// <summary>Returns at once. Calls that come while one is at work are one.</summary>
    public void Begin() => wanted.Set();

    public void Dispose()
    {
        stopped = true;
        wanted.Set();
        thread.Join();
        wanted.Dispose();
    }

    private void Work()
    {
        const string ThisProcess = "0";
        while (wanted.WaitOne() && !stopped)
        {
            try
            {
                if (cgroups.FolderOf(File.ReadLines(membership)) is { } folder)
                {
                    CgroupFile.Write(folder + "/cgroup.procs", ThisProcess);
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Not allowed here, or the group is gone: then moves take what they take.
            }
        }
    }
}
