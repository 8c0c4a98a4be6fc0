using Berth.IntegrationTests.EndToEnd;
using Berth.IntegrationTests.Store;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// A backup has the writable layers of containers, each as it was at one moment, while their programs go on; and
/// whatever happens to it, no program waits for good.
/// </summary>
[Collection("server")]
public sealed class ContainerBackupTests
{
    /// <summary>Counts in a file for as long as it runs, and changes what the image has at its first start.</summary>
    private const string Counting = """
        if ! [ -e /kept ]; then
          : > /log; rm /bin/tr; rm -r /data; mkdir /data; echo new > /data/new
          echo kept > /kept; chown 12:34 /kept; chmod 4750 /kept; ln -s /kept /link
        fi
        i=$(wc -l < /log)
        while :; do i=$((i+1)); echo $i >> /log; done
        """;

    [Fact]
    public async Task Files_of_a_container_that_goes_on_writing_come_back_as_of_one_moment()
    {
        await using ServerProcess server = await StartAsync(new ServerProcess());
        await BerthAsync(server, "run", "-d", "--name", "web", "demo/files", "sh", "-c", Counting);
        await BerthAsync(server, "run", "--name", "done", "demo/files", "sh", "-c", "echo ended > /end");
        int before = await CountAsync(server, 1);

        string backup = Path.Combine(server.Folder, "backup.tar");
        await BerthAsync(server, "backup", backup);
        await CountAsync(server, await CountAsync(server, before) + 1);
        string owner = await BerthAsync(server, "exec", "web", "ls", "-ln", "/kept");
        await server.KillAsync();

        string restored = Path.Combine(server.Folder, "restored");
        (await Tool.RunAsync(ServerProcess.Executable, ["restore", backup, "--data", restored])).Succeed();
        foreach (string layer in Directory.GetFiles(Path.Combine(restored, "containers")))
        {
            // Nothing to mend: it was written out when it was copied.
            (await Tool.RunAsync("/sbin/e2fsck", ["-fn", layer])).Succeed();
        }

        server.Data = restored;
        await server.StartAsync();
        await BerthAsync(server, "cp", "web:/log", Path.Combine(server.Folder, "log"));
        string[] log = await File.ReadAllLinesAsync(Path.Combine(server.Folder, "log"));
        await BerthAsync(server, "start", "web");
        Assert.True(log.Length > before, $"{log.Length} lines, and {before} before the backup began");
        Assert.Equal(Enumerable.Range(1, log.Length), log.Select(int.Parse));
        Assert.Equal(owner, await BerthAsync(server, "exec", "web", "ls", "-ln", "/kept"));
        Assert.Contains("-rwsr-x---    1 12       34", owner, StringComparison.Ordinal);
        Assert.Equal("new", await BerthAsync(server, "exec", "web", "ls", "/data"));
        Assert.Equal(1, (await server.BerthAsync("exec", "web", "ls", "/bin/tr")).ExitCode);
        Assert.Equal("kept", await BerthAsync(server, "exec", "web", "cat", "/link"));
        await BerthAsync(server, "cp", "done:/end", Path.Combine(server.Folder, "end"));
        Assert.Equal("ended\n", await File.ReadAllTextAsync(Path.Combine(server.Folder, "end")));
        await BerthAsync(server, "rm", "-f", "web", "done");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);

        // What the killed one left on the machine goes with its next start.
        server.Data = Path.Combine(server.Folder, "data");
        await server.StartAsync();
    }

    [Fact]
    public async Task A_server_that_is_killed_while_a_program_waits_leaves_nothing_that_waits()
    {
        await using ServerProcess server = new();
        server.Environment["BERTH_TEST_MODE"] = "1";
        server.Environment["BERTH_CRASH_AT"] = "LayerFrozen:1";
        await StartAsync(server);
        await BerthAsync(server, "run", "-d", "--name", "web", "demo/files", "sh", "-c", Counting);
        await CountAsync(server, 1);
        string layer = Assert.Single(Directory.GetFiles(Path.Combine(server.Data, "containers")));

        await server.BerthAsync("backup", Path.Combine(server.Folder, "backup.tar"));
        Assert.Equal(137, await server.EndsAsync());

        // No server runs that could see to it. A device stays for as long as anybody waits for its file system.
        await Condition.HoldsAsync("the layer is no device any more", () => Task.FromResult(DeviceOf(layer)));
        server.Environment.Clear();
        await server.StartAsync();
        Assert.False(Directory.Exists(Path.Combine(server.Data, "backup")));
        await BerthAsync(server, "start", "web");
        await CountAsync(server, await CountAsync(server, 1) + 1);
        await BerthAsync(server, "rm", "-f", "web");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_disk_without_room_for_the_copy_refuses_the_backup_and_the_program_goes_on()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(256);
        await using ServerProcess server = await StartAsync(new ServerProcess(Path.Combine(disk.Path, "data")));
        await BerthAsync(
            server, "run", "-d", "--name", "web", "demo/files", "sh", "-c",
            "dd if=/dev/zero of=/big bs=1M count=130; " + Counting);
        await CountAsync(server, 1);

        ToolResult refused = await server.BerthAsync("backup", Path.Combine(server.Folder, "backup.tar"));

        Assert.Equal(75, refused.ExitCode);
        Assert.Contains("is full", refused.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(server.Data, "backup")));
        Assert.Empty(Directory.GetFiles(server.Folder, "backup*"));
        await CountAsync(server, await CountAsync(server, 1) + 1);
        await BerthAsync(server, "rm", "-f", "web");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task<ServerProcess> StartAsync(ServerProcess server)
    {
        await BusyboxServer.StartAsync(server);
        string folder = Directory.CreateDirectory(Path.Combine(server.Folder, "more/data")).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "old"), "of the image");
        await BerthAsync(
            server, "image", "pack", "-q", "--base", "demo/busybox", "demo/files", Path.Combine(server.Folder, "more"));
        return server;
    }

    /// <summary>Waits until a container that counts has come so far, and tells how far it has come.</summary>
    private static async Task<int> CountAsync(ServerProcess server, int least)
    {
        int count = 0;
        await Condition.HoldsAsync($"it has counted to {least}", async () =>
        {
            ToolResult lines = await server.BerthAsync("exec", "web", "sh", "-c", "wc -l < /log");
            return int.TryParse(lines.Text, out count) && count > least ? null : $"{lines.Text}{lines.Error}";
        });
        return count;
    }

    private static string? DeviceOf(string file) => Directory.EnumerateDirectories("/sys/block", "loop*")
        .Select(device => Path.Combine(device, "loop/backing_file"))
        .FirstOrDefault(named => File.Exists(named) && File.ReadAllText(named).TrimEnd('\n') == file);

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();
}
