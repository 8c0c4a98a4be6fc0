using Berth.IntegrationTests.Nodes;
using Berth.Node;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// What a server may leave: on the machine while it is stopped nothing at all, in its data folder nothing that it does
/// not know of. See <see cref="HostTraces"/>.
/// </summary>
internal static class ServerTraces
{
    /// <summary>A server that has ended left nothing, on the machine and in its data folder.</summary>
    public static Task AreGoneAsync(ServerProcess server) => AreGoneAsync(server.Folder, server.Data);

    /// <param name="folder">Named by everything that it started.</param>
    public static Task AreGoneAsync(string folder, string data) => Condition.HoldsAsync(
        "the stopped server has left nothing",
        () => Task.FromResult(Describe(
            [.. OnTheMachine(folder, data, NodeOptions.InstanceOf(data)), .. InTheData(data)])));

    /// <summary>The machine holds exactly the sandboxes that a running server tells of.</summary>
    public static Task AreOnlySandboxesAsync(ServerProcess server) => Condition.HoldsAsync(
        "every control group is a sandbox that the server knows, and no namespace is held",
        async () =>
        {
            HashSet<string> groups = ControlGroups(server);
            string told = await server.Http.GetStringAsync(new Uri("/v1/sandboxes", UriKind.Relative));
            return Describe([
                .. groups.Where(id => !told.Contains(id, StringComparison.Ordinal)),
                .. HostTraces.NamespacesHeld(server.Pid),
            ]);
        });

    /// <summary>Ids of sandboxes that have a control group in any hierarchy.</summary>
    public static HashSet<string> ControlGroups(ServerProcess server) =>
        [.. ParentGroups(server).SelectMany(FoldersOf).Select(d => Path.GetFileName(d))];

    /// <summary>Host ids of the processes that are number 1 of a sandbox (NSpid, proc_pid_status(5)).</summary>
    public static IEnumerable<int> Inits(ServerProcess server) => ParentGroups(server)
        .SelectMany(FoldersOf)
        .SelectMany(group => Read(group + "/cgroup.procs").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        .Distinct()
        .Where(pid => Read($"/proc/{pid}/status").Contains("\t1\nNSpgid:", StringComparison.Ordinal))
        .Select(int.Parse);

    /// <summary>Processes of the container runtime that work for this server.</summary>
    public static IEnumerable<int> Runtimes(ServerProcess server) => Directory.EnumerateDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _))
        .Where(d => Read(d + "/cmdline").Contains($"\0--root\0/run/berth/{server.Instance}", StringComparison.Ordinal))
        .Select(d => int.Parse(Path.GetFileName(d)));

    private static IEnumerable<string> OnTheMachine(string folder, string data, string instance)
    {
        IEnumerable<string> traces =
        [
            .. HostTraces.Of(instance, data), .. HostTraces.MountsElsewhere($"/run/berth/{instance}"),
            .. HostTraces.MountsElsewhere(folder),
        ];
        foreach (string left in traces)
        {
            yield return left;
        }

        foreach (string mount in File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(folder)))
        {
            yield return mount;
        }

        foreach (string place in (string[])["/run/berth", "/run/netns"])
        {
            foreach (string entry in EntriesOf(place).Where(e => e.Contains(instance)))
            {
                yield return entry;
            }
        }

        foreach (string line in CommandLines().Where(line => line.Contains(folder)))
        {
            yield return $"process {line.Replace('\0', ' ')}";
        }
    }

    private static IEnumerable<string> InTheData(string data)
    {
        foreach (string folder in (string[])["uploads", "blobs/temp", "blobs/corrupt"])
        {
            foreach (string file in EntriesOf(Path.Combine(data, folder)))
            {
                yield return file;
            }
        }

        // Not there where the server was ended before it had made it.
        string repositories = Path.Combine(data, "repositories");
        IEnumerable<string> temporary = Directory.EnumerateFiles(data, "*.tmp", SearchOption.AllDirectories)
            .Concat(EntriesOf(Path.Combine(data, "layers")).Where(e => Path.GetFileName(e).StartsWith(".tmp-")))
            .Concat(
                Directory.Exists(repositories)
                    ? Directory.EnumerateFiles(repositories, ".*", SearchOption.AllDirectories)
                    : [])
            .Concat(FoldersOf(Path.Combine(data, "spool")).Where(d => Directory.GetFiles(d, "result-*").Length > 1));
        foreach (string file in temporary)
        {
            yield return file;
        }
    }

    private static IEnumerable<string> ParentGroups(ServerProcess server) => Directory.EnumerateDirectories(
        "/sys/fs/cgroup", $"berth-{server.Instance}",
        new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 2, IgnoreInaccessible = true });

    private static IEnumerable<string> CommandLines() => Directory.EnumerateDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _))
        .Select(d => Read(d + "/cmdline"));

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            // The process ended while we looked.
            return "";
        }
    }

    private static string[] EntriesOf(string folder) =>
        Directory.Exists(folder) ? Directory.GetFileSystemEntries(folder) : [];

    private static string[] FoldersOf(string folder)
    {
        try
        {
            return Directory.GetDirectories(folder);
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private static string? Describe(string[] left) => left.Length == 0 ? null : string.Join('\n', left);
}
