using Berth.Node.Linux;

namespace Berth.Node.Sweeps;

/// <summary>
/// Reaps ended processes that became this one's children because their parents died: it is a subreaper, so that it can
/// wait for containers' inits, and gets those of killed programs too. What is still unreaped in two passes running
/// belongs to nobody: whoever waits for a process does so at once.
/// </summary>
internal sealed class Orphans(ReadinessPoller poller)
{
    private HashSet<int> seen = [];

    public async Task ReapAsync()
    {
        HashSet<int> ended = EndedChildren();
        foreach (int pid in ended.Where(seen.Contains).ToArray())
        {
            await ReapAsync(pid);
            ended.Remove(pid);
        }

        seen = ended;
    }

    /// <summary>Those of one control group at once, as far as the kernel still tells (cgroups(7), the line of version
    /// 2): what a runtime with a kernel of its own leaves is many.</summary>
    public async Task ReapOfAsync(string cgroup)
    {
        foreach (int pid in EndedChildren().Where(pid => IsIn(pid, cgroup)))
        {
            await ReapAsync(pid);
        }
    }

    private async Task ReapAsync(int pid)
    {
        try
        {
            using PidHandle orphan = PidHandle.Open(pid, poller);
            await orphan.Exited;
        }
        catch (LinuxException error) when (error.Errno == Errno.NoSuchProcess)
        {
            // Somebody did wait for it.
        }
    }

    private static bool IsIn(int pid, string cgroup)
    {
        try
        {
            return File.ReadLines($"/proc/{pid}/cgroup").Any(line =>
                line.StartsWith("0::" + cgroup, StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static HashSet<int> EndedChildren()
    {
        HashSet<int> ended = [];
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), out int pid) && IsEndedChild(folder))
            {
                ended.Add(pid);
            }
        }

        return ended;
    }

    /// <summary>After the name in brackets come state and parent (proc_pid_stat(5)).</summary>
    private static bool IsEndedChild(string folder)
    {
        try
        {
            string stat = File.ReadAllText(folder + "/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] == "Z" && int.Parse(fields[1]) == Environment.ProcessId;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
