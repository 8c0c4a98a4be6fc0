using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Node.Linux;
using Berth.Oci.Unix;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// Copies the file of a writable layer as it is at one moment. A sandbox that writes to it waits meanwhile, for a time
/// that has a limit; one that is to be started with it does not wait.
/// </summary>
internal sealed class LayerCopy(ReadinessPoller poller)
{
    /// <summary>A program that waits this long has not failed yet, and a disk writes some gigabytes.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>False where there is no such file any more. Throws BerthException (Conflict, MissingTool) and
    /// IOException.</summary>
    public async Task<bool> MakeAsync(string file, string target, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (await TryFrozenAsync(file, target, cancellationToken) || TryUnused(file, target, cancellationToken))
                {
                    return true;
                }
            }
        }
        catch (FileNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Ends what a killed process may have left frozen.</summary>
    public static void Thaw(string file)
    {
        using FileDescriptor? device = LoopDevice.TryOpen(file, out string path);
        if (device is not null)
        {
            using FileDescriptor folder = Open(path);
            FrozenFileSystem.Thaw(folder);
        }
    }

    /// <summary>False where it is not mounted.</summary>
    private async Task<bool> TryFrozenAsync(string file, string target, CancellationToken cancellationToken)
    {
        using FileDescriptor? device = LoopDevice.TryOpen(file, out string path);
        if (device is null)
        {
            return false;
        }

        using FileDescriptor folder = Open(path);
        FrozenFileSystem frozen = await FrozenFileSystem.FreezeAsync(folder, Limit, poller);
        bool held;
        try
        {
            CrashPoints.Reach(CrashPoint.LayerFrozen);
            SparseFile.Copy(file, target, cancellationToken);
        }
        finally
        {
            held = await frozen.ThawAsync();
        }

        return held ? true : throw new BerthException(
            ErrorCode.Conflict,
            $"The writable layer of the container {Path.GetFileNameWithoutExtension(file)} took longer than "
            + $"{Limit.TotalSeconds:0} s to copy, and its programs can't wait longer: stop it for the time of the "
            + "backup, or keep its data in a volume.");
    }

    /// <summary>False where something began to use it meanwhile.</summary>
    private static bool TryUnused(string file, string target, CancellationToken cancellationToken)
    {
        DateTime written = File.GetLastWriteTimeUtc(file);
        SparseFile.Copy(file, target, cancellationToken);
        return !LoopDevice.HasAny(file) && File.GetLastWriteTimeUtc(file) == written;
    }

    /// <summary>The file system's root, by a mount without a place: it is the one that the sandbox has.</summary>
    private static FileDescriptor Open(string device)
    {
        using FileDescriptor mount = Mount(device);
        return FileSystems.OpenInside(mount, ".", Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC);
    }

    private static FileDescriptor Mount(string device)
    {
        KeyValuePair<string, string?>[] options = [new("source", device), new("errors", "remount-ro")];
        try
        {
            return Mounts.Make("ext4", options, MountAttribute.NoSetUserId | MountAttribute.NoDevices);
        }
        catch (LinuxException error) when (error.Errno == Errno.Busy)
        {
            // It has met an error and is read-only since.
            return Mounts.Make("ext4", [.. options, new("ro", null)], MountAttribute.ReadOnly);
        }
    }
}
