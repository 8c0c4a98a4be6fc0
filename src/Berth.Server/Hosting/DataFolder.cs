using Berth.Core.Errors;

namespace Berth.Server.Hosting;

/// <summary>The data folder, held by one server at a time. The lock is the kernel's (flock), so it ends with the
/// process, however that ends.</summary>
internal sealed class DataFolder : IDisposable
{
    private readonly FileStream held;

    private DataFolder(string path, FileStream held)
    {
        Path = path;
        this.held = held;
    }

    public string Path { get; }

    /// <summary>Makes the folder where it is missing and takes the lock; throws <c>InvalidConfiguration</c> where
    /// another server has it.</summary>
    public static DataFolder Open(string path)
    {
        string full = System.IO.Path.GetFullPath(path);
        try
        {
            // Unpacked layers are reached by sandboxes' own users, so others may pass through but not look around.
            Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
                | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {full} can't be made: {e.Message} Choose another with --data.", e);
        }

        return new DataFolder(full, Lock(full));
    }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => held.Dispose();

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
