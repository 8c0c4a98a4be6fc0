using Berth.Core.Errors;

namespace Berth.Node.Cgroups;

/// <summary>Finds out from the mount table which version of control groups this machine uses.</summary>
public static class CgroupDetection
{
    private static readonly string[] NeededControllers = ["memory", "cpu", "cpuacct", "pids", "freezer"];

    /// <summary>Throws BerthException (NodeFault) naming what is missing.</summary>
    public static ICgroups Detect() => Detect(File.ReadAllLines("/proc/self/mountinfo"));

    /// <param name="mountInfo">Lines of /proc/self/mountinfo (proc_pid_mountinfo(5)).</param>
    public static ICgroups Detect(IEnumerable<string> mountInfo)
    {
        Dictionary<string, string> controllers = [];
        string? unified = null;
        foreach (string line in mountInfo)
        {
            int separator = line.IndexOf(" - ", StringComparison.Ordinal);
            if (separator < 0)
            {
                continue;
            }

            string mountPoint = line[..separator].Split(' ')[4];
            string[] fields = line[(separator + 3)..].Split(' ');
            if (fields[0] == "cgroup2")
            {
                unified ??= mountPoint;
            }
            else if (fields[0] == "cgroup")
            {
                foreach (string option in fields[^1].Split(','))
                {
                    controllers.TryAdd(option, mountPoint);
                }
            }
        }

        if (unified is not null && !controllers.ContainsKey("memory"))
        {
            return new UnifiedCgroups(unified);
        }

        string[] missing = [.. NeededControllers.Where(c => !controllers.ContainsKey(c))];
        return missing.Length == 0
            ? new SplitCgroups(controllers, unified)
            : throw new BerthException(
                ErrorCode.NodeFault,
                $"This machine has no control groups for {string.Join(", ", missing)}. Mount cgroup2 at /sys/fs/cgroup "
                + "(systemd does at boot), or the controllers of version 1.");
    }
}
