using System.Diagnostics;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// An ext4 disk whose blocks can't be written or read while a file says so: nbdkit makes the errors, nbdfuse shows its
/// disk as a file, which is mounted.
/// </summary>
internal sealed class FailingDisk : IAsyncDisposable
{
    private readonly string home = Directory.CreateDirectory($"/var/tmp/berth-nbd-{Path.GetRandomFileName()}").FullName;
    private Process? service;
    private int disks;

    public string Folder => Path.Combine(home, "disk");

    private string Image => Path.Combine(home, $"image-{disks}");

    private string Device => Path.Combine(home, $"device-{disks}");

    private string BadWrites => Path.Combine(home, "bad-writes");

    private string BadReads => Path.Combine(home, "bad-reads");

    public static async Task<FailingDisk> MakeAsync(int mebibytes)
    {
        Assert.SkipUnless(
            File.Exists("/usr/bin/nbdfuse") && File.Exists("/usr/bin/nbdkit"),
            "nbdkit or nbdfuse is not installed: run eng/prerequisites.sh run test.");
        FailingDisk disk = new();
        Directory.CreateDirectory(disk.Folder);
        await using (FileStream file = File.Create(disk.Image))
        {
            file.SetLength(mebibytes * 1024L * 1024);
        }

        await RunAsync("mkfs.ext4", "-q", "-F", disk.Image);
        await disk.MountAsync();
        return disk;
    }

    /// <summary>From now on nothing reaches the disk.</summary>
    public void FailWrites() => File.WriteAllText(BadWrites, "");

    /// <summary>From now on nothing is read but what memory still has.</summary>
    public void FailReads() => File.WriteAllText(BadReads, "");

    public void Heal()
    {
        File.Delete(BadWrites);
        File.Delete(BadReads);
    }

    /// <summary>Anew, without anything in memory. Nobody may have a file of it open.</summary>
    public async Task RemountAsync()
    {
        await RunAsync("umount", Folder);
        await RunAsync("mount", "-o", "loop", Device, Folder);
    }

    /// <summary>Another disk with what had reached this one, in its place. Whoever has files of this one keeps them.
    /// </summary>
    public async Task ReplaceAsync()
    {
        await RunAsync("umount", "-l", Folder);
        string old = Image;
        disks++;
        await RunAsync("cp", old, Image);
        service?.Dispose();
        Heal();
        await MountAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Heal();
        await Tool.RunAsync("umount", ["-l", Folder]);
        for (; disks >= 0; disks--)
        {
            await Tool.RunAsync("umount", ["-l", Device]);
        }

        service?.Dispose();
        Directory.Delete(home, recursive: true);
    }

    private async Task MountAsync()
    {
        await File.WriteAllTextAsync(Device, "");
        service = Tool.Start(
            "nbdfuse",
            [
                Device, "[", "nbdkit", "--filter=error", "file", Image, "error=EIO",
                "error-pwrite-rate=100%", $"error-pwrite-file={BadWrites}",
                "error-pread-rate=100%", $"error-pread-file={BadReads}", "]",
            ]);
        service.StandardInput.Close();
        service.BeginOutputReadLine();
        service.BeginErrorReadLine();
        await Condition.HoldsAsync("the device is there", () => new FileInfo(Device).Length > 0);
        await RunAsync("mount", "-o", "loop", Device, Folder);
    }

    private static async Task RunAsync(string tool, params string[] arguments) =>
        (await Tool.RunAsync(tool, arguments)).Succeed();
}
