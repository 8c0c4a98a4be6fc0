using Berth.IntegrationTests.Store;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Whoever writes to a frozen file system waits, but never for longer than was said.</summary>
[Collection("containers")]
public sealed class FrozenFileSystemTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_writer_waits_until_it_is_thawed()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(16);
        using ReadinessPoller poller = new();
        using FileDescriptor folder = Open(disk);

        FrozenFileSystem frozen = await FrozenFileSystem.FreezeAsync(folder, Patience, poller);
        Task written = Write(disk);
        bool waited = await Task.WhenAny(written, Task.Delay(TimeSpan.FromMilliseconds(200))) != written;
        bool held = await frozen.ThawAsync();

        await written.WaitAsync(Patience);
        Assert.True(waited);
        Assert.True(held);
    }

    [Fact]
    public async Task It_is_thawed_when_its_time_is_up_and_that_is_told()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(16);
        using ReadinessPoller poller = new();
        using FileDescriptor folder = Open(disk);

        FrozenFileSystem frozen = await FrozenFileSystem.FreezeAsync(folder, TimeSpan.FromSeconds(1), poller);
        await Write(disk).WaitAsync(Patience);

        Assert.False(await frozen.ThawAsync());
    }

    private static FileDescriptor Open(MountedDisk disk)
    {
        using FileDescriptor folder = FileSystems.OpenFolder(disk.Path);
        return FileSystems.OpenInside(folder, ".", Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC);
    }

    private static Task Write(MountedDisk disk) =>
        Task.Run(() => File.WriteAllText(Path.Combine(disk.Path, "file"), "written"));
}
