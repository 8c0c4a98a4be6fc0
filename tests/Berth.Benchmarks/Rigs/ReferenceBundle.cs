using System.Text.Json.Nodes;
using Berth.Node.Linux;

namespace Berth.Benchmarks.Rigs;

/// <summary>
/// A bundle for plain <c>runc run</c> made from the configuration of one of Berth's own prepared sandboxes, so that
/// both have the same namespaces, mounts, limits and allowed system calls. It differs in three things: the program is
/// run directly instead of berth-init, the root file system is a plain folder, and runc installs the filter of system
/// calls, which in Berth's sandbox berth-init does.
/// </summary>
internal sealed class ReferenceBundle : IAsyncDisposable
{
    private int runs;

    private ReferenceBundle(string path) => Path = path;

    /// <summary>Folder with config.json and rootfs.</summary>
    public string Path { get; }

    /// <summary>runc's state folder for <c>--root</c>.</summary>
    public string State => System.IO.Path.Combine(Path, "state");

    public static async Task<ReferenceBundle> CreateAsync(BerthRig rig, params string[] command)
    {
        JsonNode config = JsonNode.Parse(await FindConfigurationAsync(rig))!;
        // Reachable by the mapped root of the user namespace, unlike most temporary folders.
        string path = $"/run/berth-bench-{Environment.ProcessId}-{TimeProvider.System.GetTimestamp():x}";
        string bin = System.IO.Path.Combine(path, "rootfs", "bin");
        Directory.CreateDirectory(bin);
        foreach (string folder in (string[])["proc", "dev", "sys", "tmp", "run", "etc"])
        {
            Directory.CreateDirectory(System.IO.Path.Combine(path, "rootfs", folder));
        }

        File.Copy("/bin/busybox", System.IO.Path.Combine(bin, "busybox"));
        foreach (string applet in (string[])["cat", "true", "sh", "sleep"])
        {
            File.CreateSymbolicLink(System.IO.Path.Combine(bin, applet), "busybox");
        }

        int uid = config["linux"]?["uidMappings"]?[0]?["hostID"]?.GetValue<int>() ?? 0;
        await Command.RunAsync("chown", "-R", "-h", $"{uid}:{uid}", System.IO.Path.Combine(path, "rootfs"));
        config["root"]!["path"] = "rootfs";
        config["process"]!["args"] = new JsonArray([.. command.Select(c => JsonValue.Create(c))]);
        config["process"]!["cwd"] = "/";
        config["linux"]!["seccomp"] = new JsonObject
        {
            ["defaultAction"] = "SCMP_ACT_ERRNO",
            ["architectures"] = new JsonArray("SCMP_ARCH_X86_64"),
            ["syscalls"] = new JsonArray(new JsonObject
            {
                ["names"] = new JsonArray(
                    [.. SeccompRules.Allowed.Concat(["clone", "socket"]).Select(c => JsonValue.Create(c))]),
                ["action"] = "SCMP_ACT_ALLOW",
            }),
        };
        config["linux"]!["cgroupsPath"] = $"/berth-bench-{Environment.ProcessId}/{System.IO.Path.GetFileName(path)}";
        JsonArray mounts = config["mounts"]!.AsArray();
        foreach (JsonNode? mount in mounts.Where(m => m!["source"]?.GetValue<string>().Contains("berth",
            StringComparison.Ordinal)
            ?? false).ToArray())
        {
            mounts.Remove(mount);
        }

        await File.WriteAllTextAsync(System.IO.Path.Combine(path, "config.json"), config.ToJsonString());
        return new ReferenceBundle(path);
    }

    /// <summary>One <c>runc run</c> with <paramref name="input"/> on its standard input; the output must be the same
    /// again. One at a time.</summary>
    public async Task<TimeSpan> RunAsync(byte[] input)
    {
        string file = System.IO.Path.Combine(Path, "input");
        if (!File.Exists(file))
        {
            await File.WriteAllBytesAsync(file, input);
        }

        string id = $"reference-{Environment.ProcessId}-{TimeProvider.System.GetTimestamp():x}-{++runs}";
        // exec, so that no shell stays between; the shell's own start is about 0.5 ms and is left out
        // by timing inside it.
        string output = await Command.RunAsync(
            "bash", "-c", $"s=$EPOCHREALTIME; runc --root {State} run -b {Path} {id} < {file} > {file}.out; r=$?; "
            + $"e=$EPOCHREALTIME; cmp -s {file} {file}.out || exit 9; echo $(( ${{e/./}} - ${{s/./}} )); exit $r");
        return TimeSpan.FromMicroseconds(long.Parse(output));
    }

    /// <summary>Runs it in the background as <paramref name="id"/>, until <see cref="EndAsync"/>.</summary>
    public Task BeginAsync(string id) => Command.RunAsync(
        "bash", "-c", $"exec runc --root {State} run -d -b {Path} {id} </dev/null >/dev/null 2>&1");

    public Task EndAsync(string id) => Command.RunAsync("runc", "--root", State, "delete", "-f", id);

    public async ValueTask DisposeAsync()
    {
        Directory.Delete(Path, recursive: true);
        await Command.RunAsync("sh", "-c", $"for d in /sys/fs/cgroup/*/berth-bench-{Environment.ProcessId} "
            + $"/sys/fs/cgroup/berth-bench-{Environment.ProcessId}; do [ -d $d ] && rmdir $d; done; true");
    }

    private static async Task<string> FindConfigurationAsync(BerthRig rig)
    {
        byte[] body = new byte[16];
        for (int i = 0; i < 100; i++)
        {
            await rig.EchoAsync(body);
            string? found = Directory.EnumerateFiles("/run/berth", "config.json", SearchOption.AllDirectories)
                .OrderByDescending(File.GetLastWriteTimeUtc).FirstOrDefault();
            if (found is not null)
            {
                return await File.ReadAllTextAsync(found);
            }
        }

        throw new InvalidOperationException("No prepared sandbox's config.json was found under /run/berth.");
    }
}
