using Berth.IntegrationTests.EndToEnd;
using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// The whole of Berth where all control groups are of version 2, whatever this machine has: on a second kernel, which
/// runs as a process (User Mode Linux) with this machine's files, read-only, and a disk of its own.
/// </summary>
public sealed class UnifiedMachineTests : IDisposable
{
    private const string Kernel = "/usr/bin/linux.uml";

    private readonly TemporaryFolder folder = new($"/var/tmp/berth-uml-{Path.GetRandomFileName()}");

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Limits_pauses_and_clean_up_hold_where_all_control_groups_are_of_version_2()
    {
        Assert.SkipUnless(File.Exists(Kernel), $"{Kernel} is missing: run eng/prerequisites.sh run test.");
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");
        await MakeDiskAsync();

        Dictionary<string, string> said = await BootAsync();

        Assert.Equal("hello", said["answer"]);
        Assert.StartsWith("137 ", said["memory"], StringComparison.Ordinal);
        Assert.Contains("memory limit of 32 MiB", said["memory"], StringComparison.Ordinal);
        // One process more than was asked for, which is the sandbox's own.
        Assert.Equal("67108864 50000 100000 41 0", said["limits"]);
        Assert.Equal("frozen 1", said["paused"]);
        Assert.Equal("frozen 0", said["unpaused"]);
        Assert.StartsWith("/sys/fs/cgroup/berth-", said["left"], StringComparison.Ordinal);
        Assert.Contains("No such file", said["swept"], StringComparison.Ordinal);
        Assert.Equal("0", said["ended"]);
        Assert.Contains("No such file", said["gone"], StringComparison.Ordinal);
    }

    private async Task MakeDiskAsync()
    {
        await using (FileStream disk = File.Create(folder["disk"]))
        {
            disk.SetLength(512L * 1024 * 1024);
        }

        (await Tool.RunAsync("/sbin/mkfs.ext4", ["-q", "-F", folder["disk"]])).Succeed();
    }

    /// <summary>What the machine said until it was switched off: lines such as <c>@@ answer: hello</c>.</summary>
    private async Task<Dictionary<string, string>> BootAsync()
    {
        string script = Path.Combine(
            ServerProcess.RepositoryRoot(), "tests/Berth.IntegrationTests/Nodes/unified-machine.sh");
        ToolResult machine = await Tool.RunAsync(
            "bash",
            [
                // A console whose input has ended writes nothing either.
                "-c", "exec timeout --kill-after=5 150 \"$0\" \"$@\" </dev/null", Kernel,
                "mem=1500M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/",
                "ro", $"ubda={folder["disk"]}", $"init={script}", $"berth={ServerProcess.Executable}", "con=null",
                "con0=fd:0,fd:1", "quiet",
            ],
            [],
            new Dictionary<string, string> { ["HOME"] = folder.Path, ["TMPDIR"] = folder.Path });
        string[] lines = machine.Text.Split('\n', StringSplitOptions.TrimEntries);
        Assert.True(
            lines.Any(l => l.StartsWith("@@ gone: ", StringComparison.Ordinal)),
            $"exit code {machine.ExitCode}:\n{machine.Text}\n{machine.Error}");
        return lines.Where(l => l.StartsWith("@@ ", StringComparison.Ordinal)).Select(l => l[3..].Split(": ", 2))
            .ToDictionary(parts => parts[0], parts => parts[1].Trim());
    }
}
