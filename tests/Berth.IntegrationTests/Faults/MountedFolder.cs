using Berth.IntegrationTests.EndToEnd;

namespace Berth.IntegrationTests.Faults;

/// <summary>A folder of a server's on a small file system of its own.</summary>
internal sealed class MountedFolder(string path) : IAsyncDisposable
{
    public static async Task<MountedFolder> TmpfsAsync(string path, int mebibytes)
    {
        UnixFileMode owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, owner);
        Directory.CreateDirectory(path, owner);
        (await Tool.RunAsync("mount", ["-t", "tmpfs", "-o", $"size={mebibytes}m", "berth-test", path])).Succeed();
        return new MountedFolder(path);
    }

    public async ValueTask DisposeAsync() => (await Tool.RunAsync("umount", ["-l", path])).Succeed();
}
