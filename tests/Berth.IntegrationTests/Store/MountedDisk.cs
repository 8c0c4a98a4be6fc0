using Berth.IntegrationTests.Registry;

namespace Berth.IntegrationTests.Store;

/// <summary>A small file system of the test's own, which it may fill and break.</summary>
internal sealed class MountedDisk : IAsyncDisposable
{
    private readonly DirectoryInfo home;
    private readonly string? image;

    private MountedDisk(DirectoryInfo home, string? image)
    {
        this.home = home;
        this.image = image;
        Path = Directory.CreateDirectory(System.IO.Path.Combine(home.FullName, "disk")).FullName;
    }

    public string Path { get; }

    private string Filler => System.IO.Path.Combine(Path, "filler");

    /// <summary>In memory.</summary>
    public static async Task<MountedDisk> TmpfsAsync(int mebibytes)
    {
        MountedDisk disk = new(Directory.CreateTempSubdirectory("berth-disk-"), null);
        await Tool.RunAsync("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m", "tmpfs", disk.Path);
        return disk;
    }

    /// <summary>ext4 in a file, which can fail as a disk does.</summary>
    public static async Task<MountedDisk> Ext4Async(int mebibytes)
    {
        DirectoryInfo home = Directory.CreateTempSubdirectory("berth-disk-");
        string image = System.IO.Path.Combine(home.FullName, "image");
        await using (FileStream file = File.Create(image))
        {
            file.SetLength(mebibytes * 1024L * 1024);
        }

        await Tool.RunAsync("mkfs.ext4", "-q", "-F", image);
        MountedDisk disk = new(home, image);
        await disk.MountAsync(image);
        return disk;
    }

    /// <summary>From now on there is no room; done again, none that came since.</summary>
    public void Fill()
    {
        using FileStream file = new(Filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        // Down to the file system's own blocks.
        foreach (int size in (int[])[64 * 1024, 1024])
        {
            try
            {
                while (true)
                {
                    file.Write(new byte[size]);
                }
            }
            catch (IOException)
            {
                // Full, as intended.
                continue;
            }
        }
    }

    /// <summary>There is room again.</summary>
    public void Free() => File.Delete(Filler);

    /// <summary>From now on every write and sync fails, as after an error of the disk.</summary>
    public Task BreakAsync() => Tool.RunAsync("mount", "-o", "remount,abort", Path);

    /// <summary>
    /// The same disk in order again: what was synced is there. A copy of it, because the kernel keeps a broken file
    /// system as it is for as long as anybody has a file of it open.
    /// </summary>
    public async Task RepairAsync()
    {
        await Tool.RunAsync("umount", "-l", Path);
        File.Copy(image!, image + ".copy");
        await MountAsync(image + ".copy");
    }

    public async ValueTask DisposeAsync()
    {
        await Tool.RunAsync("umount", "-l", Path);
        home.Delete(recursive: true);
    }

    private async Task MountAsync(string file) => await Tool.RunAsync("mount", "-o", "loop", file, Path);
}
