using Berth.IntegrationTests.EndToEnd;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// An ext4 disk in a file of an XFS that shares blocks, so that a copy of the whole disk takes a moment. The copy has
/// what had reached the disk then, and nothing that was only in memory: it is the disk after a power cut.
/// </summary>
internal sealed class CopyableDisk : IAsyncDisposable
{
    private readonly string home = Directory.CreateDirectory($"/var/tmp/berth-cut-{Path.GetRandomFileName()}").FullName;
    private int copies;

    private string Shelf => Path.Combine(home, "shelf");

    public string Folder => Path.Combine(home, "disk");

    private string Image => Path.Combine(Shelf, $"disk-{copies}");

    public static async Task<CopyableDisk> MakeAsync(int mebibytes)
    {
        CopyableDisk disk = new();
        Directory.CreateDirectory(disk.Shelf);
        Directory.CreateDirectory(disk.Folder);
        string host = Path.Combine(disk.home, "host");
        await MakeFileAsync(host, mebibytes * 4);
        await RunAsync("mkfs.xfs", "-q", "-m", "reflink=1", host);
        await RunAsync("mount", "-o", "loop", host, disk.Shelf);
        await MakeFileAsync(disk.Image, mebibytes);
        await RunAsync("mkfs.ext4", "-q", "-F", disk.Image);
        await disk.MountAsync();
        return disk;
    }

    /// <summary>The instant of the cut. What is written from now on is lost.</summary>
    public Task CutAsync() => RunAsync("cp", "--reflink=always", Image, Path.Combine(Shelf, $"disk-{copies + 1}"));

    /// <summary>The power is back: the disk as it was at the cut, in the same place.</summary>
    public async Task ComeBackAsync()
    {
        await RunAsync("umount", "-l", Folder);
        File.Delete(Image);
        copies++;
        await MountAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await RunAsync("umount", "-l", Folder);
        await RunAsync("umount", "-l", Shelf);
        Directory.Delete(home, recursive: true);
    }

    private Task MountAsync() => RunAsync("mount", "-o", "loop", Image, Folder);

    private static async Task MakeFileAsync(string path, int mebibytes)
    {
        await using FileStream file = File.Create(path);
        file.SetLength(mebibytes * 1024L * 1024);
    }

    private static async Task RunAsync(string tool, params string[] arguments) =>
        (await Tool.RunAsync(tool, arguments)).Succeed();
}
