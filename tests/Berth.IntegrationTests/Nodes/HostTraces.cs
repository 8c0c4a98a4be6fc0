using System.Globalization;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// What of one server's instance is on this machine, each thing by its name, from the kernel's own tables. A namespace
/// has no list of its own: one lives by a process, a mount or a descriptor, so these are looked at.
/// </summary>
internal static class HostTraces
{
    private const string RuntimeFolder = "/run/berth";

    /// <param name="data">The folder whose files may be devices.</param>
    public static IReadOnlyList<string> Of(string instance, string? data = null)
    {
        string root = $"{RuntimeFolder}/{instance}";
        return
        [
            .. Mounts(root).Select(m => $"mount {m}"),
            .. Cgroups(instance).Select(c => $"control group {c}"),
            .. Processes(instance, root).Select(p => $"process {p}"),
            .. Directory.Exists(root) ? [$"folder {root}"] : Array.Empty<string>(),
            .. LoopDevices(root),
            .. data is null ? [] : LoopDevices(data),
            .. NamespacesHeld(Environment.ProcessId),
        ];
    }

    /// <summary>Places below a folder where something is mounted, in this process's sight.</summary>
    public static IReadOnlyList<string> Mounts(string folder) => MountsIn("self", folder);

    public static IReadOnlyList<string> Cgroups(string instance) =>
    [
        .. Directory.EnumerateDirectories("/sys/fs/cgroup", $"berth-{instance}", new EnumerationOptions
        {
            RecurseSubdirectories = true,
            MaxRecursionDepth = 2,
            IgnoreInaccessible = true,
        }),
    ];

    /// <summary>Programs in sandboxes of this server whose command line begins like this.</summary>
    public static int Programs(string instance, string command) => Pids()
        .Count(pid => Read($"/proc/{pid}/cgroup").Contains($"/berth-{instance}/", StringComparison.Ordinal)
            && Read($"/proc/{pid}/cmdline").StartsWith(command + "\0", StringComparison.Ordinal));

    /// <summary>Kills process 1 of the sandbox in which such a program runs.</summary>
    public static void KillInitOf(string instance, string command)
    {
        int pid = Pids().First(p =>
            Read($"/proc/{p}/cgroup").Contains($"/berth-{instance}/", StringComparison.Ordinal)
            && Read($"/proc/{p}/cmdline").StartsWith(command + "\0", StringComparison.Ordinal));
        while (StatusOf(pid, "NSpid:")[^1] != 1)
        {
            pid = StatusOf(pid, "PPid:")[0];
        }

        using var init = System.Diagnostics.Process.GetProcessById(pid);
        init.Kill();
    }

    /// <summary>Files below a folder that are a device somewhere, mounted or not (loop(4)).</summary>
    public static IEnumerable<string> LoopDevices(string folder) => Directory
        .EnumerateDirectories("/sys/block", "loop*")
        .Select(device => (Device: device, File: Read(device + "/loop/backing_file").TrimEnd('\n')))
        .Where(d => d.File.StartsWith(folder + "/", StringComparison.Ordinal))
        .Select(d => $"device /dev/{Path.GetFileName(d.Device)} of {d.File}");

    /// <summary>Networks and mount tables of others that a process keeps alive by a descriptor, such as
    /// <c>net:[4026532000]</c>. User namespaces are kept on purpose: they map owners of sandboxes to come.</summary>
    public static IEnumerable<string> NamespacesHeld(int pid)
    {
        HashSet<string> own = [.. Links($"/proc/{pid}/ns")];
        return Links($"/proc/{pid}/fd")
            .Where(link => link.StartsWith("net:[", StringComparison.Ordinal)
                || link.StartsWith("mnt:[", StringComparison.Ordinal))
            .Where(link => !own.Contains(link))
            .Select(link => $"namespace {link} held by process {pid}");
    }

    /// <summary>The same mounts in namespaces that a sandbox or another program has: they are not ours any more, and
    /// hold what they show all the same.</summary>
    public static IEnumerable<string> MountsElsewhere(string folder)
    {
        HashSet<string> seen = [.. Links("/proc/self/ns", "mnt")];
        foreach (int pid in Pids())
        {
            foreach (string space in Links($"/proc/{pid}/ns", "mnt").Where(seen.Add))
            {
                foreach (string mount in MountsIn(pid.ToString(CultureInfo.InvariantCulture), folder))
                {
                    yield return $"mount {mount} in {space} of process {pid}";
                }
            }
        }
    }

    private static string[] MountsIn(string process, string folder) =>
    [
        .. Read($"/proc/{process}/mountinfo").Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ')[4])
            .Where(place => place == folder || place.StartsWith(folder + "/", StringComparison.Ordinal)),
    ];

    private static IEnumerable<string> Processes(string instance, string root) => Pids()
        // An ended process that its parent has not asked about yet holds nothing but a number.
        .Where(pid => !Read($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal))
        .Where(pid => Read($"/proc/{pid}/cgroup").Contains($"/berth-{instance}/", StringComparison.Ordinal)
            || Read($"/proc/{pid}/cmdline").Contains(root, StringComparison.Ordinal))
        .Select(pid => $"{pid} {Read($"/proc/{pid}/cmdline").Replace('\0', ' ')}");

    /// <summary>The numbers of a field of status.</summary>
    private static int[] StatusOf(int pid, string field) =>
    [
        .. File.ReadLines($"/proc/{pid}/status")
            .First(l => l.StartsWith(field, StringComparison.Ordinal))[field.Length..]
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Select(n => int.Parse(n, CultureInfo.InvariantCulture)),
    ];

    private static IEnumerable<int> Pids() => Directory.EnumerateDirectories("/proc")
        .Select(d => int.TryParse(Path.GetFileName(d), out int pid) ? pid : 0).Where(pid => pid > 0);

    /// <summary>Where the links of a folder lead; nothing when it is gone.</summary>
    private static string[] Links(string folder, string pattern = "*")
    {
        try
        {
            return [.. new DirectoryInfo(folder).GetFileSystemInfos(pattern).Select(f => f.LinkTarget ?? "")];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

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
