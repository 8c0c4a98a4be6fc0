namespace Berth.Node.Cgroups;

/// <summary>Reads a process's /proc/PID/cgroup: lines of "hierarchy:controllers:path" (cgroups(7)).</summary>
internal static class CgroupMembership
{
    /// <summary>Folder of the group in the hierarchy of a controller, "" for version 2; null when there is no such
    /// line, or the path lies outside of what is mounted here.</summary>
    public static string? FolderOf(string mountPoint, IEnumerable<string> membership, string controller)
    {
        foreach (string line in membership)
        {
            string[] fields = line.Split(':', 3);
            if (fields.Length == 3 && fields[1].Split(',').Contains(controller))
            {
                string folder = mountPoint + fields[2].TrimEnd('/');
                return Directory.Exists(folder) ? folder : null;
            }
        }

        return null;
    }
}
