using Berth.Core.Resources;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// A file that only takes up space. SQLite can't even delete on a full disk; giving this space back lets the work that
/// was accepted be finished. Its return says that there is room again. Used by the writer's thread alone.
/// </summary>
internal sealed class Ballast(string path, ByteSize size)
{
    // Room to be left beside the ballast, so that it does not come back only to go again.
    private static readonly ByteSize Margin = ByteSize.MiB(4);

    private static readonly ByteSize NothingLeft = ByteSize.KiB(256);

    /// <summary>Makes the file if it is not there and there is room for it. Returns whether it is there.</summary>
    public bool TryFill()
    {
        if (File.Exists(path) && new FileInfo(path).Length == size.Bytes)
        {
            return Free() >= NothingLeft.Bytes;
        }

        if (Free() < size.Bytes + Margin.Bytes)
        {
            return false;
        }

        try
        {
            // The preallocation reserves blocks (posix_fallocate); a length alone would be a hole.
            using FileStream file = new(path, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                PreallocationSize = size.Bytes,
            });
            file.SetLength(size.Bytes);
            return true;
        }
        catch (IOException)
        {
            File.Delete(path);
            return false;
        }
    }

    /// <summary>Gives the space back. Returns false when there was none left to give.</summary>
    public bool Release()
    {
        if (!File.Exists(path))
        {
            return false;
        }

        File.Delete(path);
        return true;
    }

    /// <summary>
    /// Whether a failed write is explained by a full disk, although it was reported as something else.
    /// </summary>
    public bool IsDiskFull() => Free() < NothingLeft.Bytes;

    private long Free() => new DriveInfo(Path.GetDirectoryName(path)!).AvailableFreeSpace;
}
