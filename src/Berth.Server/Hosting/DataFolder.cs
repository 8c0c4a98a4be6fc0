using Berth.Core.Errors;
using Berth.Server.Backups;

namespace Berth.Server.Hosting;

/// <summary>The data folder, held by one server at a time. The lock is the kernel's (flock), so it ends with the
/// process, however that ends.</summary>
internal sealed class DataFolder : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly FileStream held;

    private DataFolder(string path, FileStream held)
    {
        Path = path;
        this.held = held;
    }

    public string Path { get; }

    /// <summary>Makes the folder where it is missing, closes it to other users and takes the lock; throws
    /// <c>InvalidConfiguration</c> where another server has it, or it is open to others and not Berth's
    /// alone.</summary>
    public static DataFolder Open(string path)
    {
        string full = System.IO.Path.GetFullPath(path);
        try
        {
            // Inputs, results and tokens are in it, and layers with whatever setuid programs an image has: none of
            // that is for this machine's other users. Sandboxes have their layers as mounts and need no way through
            // here.
            Directory.CreateDirectory(full, OwnerOnly);
            Close(full);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {full} can't be made: {e.Message} Choose another with --data.", e);
        }

        if (File.Exists(System.IO.Path.Combine(full, BackupFormat.UnfinishedMark)))
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {full} is left from a restore that was not finished: empty it and restore again.");
        }

        return new DataFolder(full, Lock(full));
    }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => held.Dispose();

    private static void Close(string folder)
    {
        if ((File.GetUnixFileMode(folder) & ~OwnerOnly) == 0)
        {
            return;
        }

        string[] found = [.. Directory.EnumerateFileSystemEntries(folder).Select(f => System.IO.Path.GetFileName(f))];
        string? foreign = found.Contains("lock") ? null : found.FirstOrDefault(f => f != "lost+found");
        if (foreign is not null)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {folder} is open to other users and holds other things ('{foreign}'): choose a "
                + "folder of Berth's own with --data, or close this one with chmod 700.");
        }

        File.SetUnixFileMode(folder, OwnerOnly);
    }

    private static FileStream Lock(string folder)
    {
        try
        {
            return new FileStream(
                System.IO.Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"Another Berth server uses the data folder {folder}: stop that one, or choose another folder with "
                + "--data.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {folder} can't be written: {e.Message} Run as root, or choose another.", e);
        }
    }
}
