using System.Text;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>
/// The right to the host objects of one instance: a lock of the kernel's (flock(2)), which ends with the process,
/// however that ends. Its file tells which data folder the instance is of, and stays when the process is killed.
/// </summary>
internal sealed class InstanceLock : IDisposable
{
    /// <summary>PATH_MAX of linux/limits.h.</summary>
    private const int LongestPath = 4096;

    private readonly FileStream file;

    private InstanceLock(FileStream file) => this.file = file;

    /// <summary>The data folder that the last holder named; null where none did.</summary>
    public string? DataFolder
    {
        get
        {
            if (file.Length is 0 or > LongestPath)
            {
                return null;
            }

            byte[] bytes = new byte[file.Length];
            RandomAccess.Read(file.SafeFileHandle, bytes, 0);
            return Encoding.UTF8.GetString(bytes);
        }
    }

    /// <summary>Null where another process has it, or there is no file and <paramref name="make"/> is not said.
    /// </summary>
    public static InstanceLock? TryTake(string path, bool make)
    {
        FileStream file;
        try
        {
            file = new FileStream(
                path, make ? FileMode.OpenOrCreate : FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error) when (error is FileNotFoundException || error.HResult == Errno.TryAgain)
        {
            return null;
        }

        // Between opening and locking its last holder may have deleted it: then it keeps nobody out.
        if (FileSystems.IsDeleted(file.SafeFileHandle))
        {
            file.Dispose();
            return null;
        }

        return new InstanceLock(file);
    }

    public void Name(string dataFolder)
    {
        if (DataFolder != dataFolder)
        {
            file.SetLength(0);
            RandomAccess.Write(file.SafeFileHandle, Encoding.UTF8.GetBytes(dataFolder), 0);
        }
    }

    /// <summary>Nothing of the instance is left: the file goes, too, while nobody else can have it.</summary>
    public void Delete()
    {
        File.Delete(file.Name);
        Dispose();
    }

    public void Dispose() => file.Dispose();
}
