namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// How much of one server's instance is on this machine, counted by looking at the kernel's own tables.
/// </summary>
internal sealed record HostObjectCount(int Mounts, int Cgroups, int Processes, int Folders)
{
    public static HostObjectCount None { get; } = new(0, 0, 0, 0);

    public static HostObjectCount Of(string instance, string runtimeFolder)
    {
        string root = $"{runtimeFolder}/{instance}";
        int mounts =
            File.ReadLines("/proc/self/mountinfo")
                .Count(line => line.Split(' ')[4].StartsWith(root, StringComparison.Ordinal));
        int cgroups = Directory.EnumerateDirectories("/sys/fs/cgroup", $"berth-{instance}", new EnumerationOptions
        {
            RecurseSubdirectories = true,
            MaxRecursionDepth = 2,
            IgnoreInaccessible = true,
        }).Count();
        int processes = Directory.EnumerateDirectories("/proc")
            .Where(d => int.TryParse(Path.GetFileName(d), out _))
            // An ended process that its parent has not asked about yet holds nothing but a number.
            .Where(d => !Read(d + "/stat").Contains(") Z ", StringComparison.Ordinal))
            .Count(d => Read(d + "/cgroup").Contains($"/berth-{instance}/", StringComparison.Ordinal)
                || Read(d + "/cmdline").Contains(root, StringComparison.Ordinal));
        return new HostObjectCount(mounts, cgroups, processes, Directory.Exists(root) ? 1 : 0);
    }

    /// <summary>Programs in sandboxes of this server whose command line begins like this.</summary>
    public static int Programs(string instance, string command) => Directory.EnumerateDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _))
        .Count(d => Read(d + "/cgroup").Contains($"/berth-{instance}/", StringComparison.Ordinal)
            && Read(d + "/cmdline").StartsWith(command + "\0", StringComparison.Ordinal));

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
