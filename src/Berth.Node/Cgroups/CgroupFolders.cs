namespace Berth.Node.Cgroups;

/// <summary>Removes group folders: their files can't be deleted, their sub-groups must go first.</summary>
internal static class CgroupFolders
{
    /// <summary>Sub-groups a program could have made are impossible (it sees no cgroup file system), but runc versions
    /// differ; deeper trees than this are refused rather than walked.</summary>
    private const int MaxDepth = 8;

    /// <summary>False while a process or an undeletable group is left in it.</summary>
    public static bool TryRemove(string folder) => TryRemove(folder, 0);

    private static bool TryRemove(string folder, int depth) =>
        TryDelete(folder) || (depth < MaxDepth && RemoveChildren(folder, depth) && TryDelete(folder));

    private static bool TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder);
            return true;
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>False when there were none to remove, or one could not be.</summary>
    private static bool RemoveChildren(string folder, int depth)
    {
        try
        {
            string[] children = Directory.GetDirectories(folder);
            return children.Length > 0 && children.All(child => TryRemove(child, depth + 1));
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
    }
}
