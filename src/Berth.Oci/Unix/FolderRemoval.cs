using System.Text;

namespace Berth.Oci.Unix;

/// <summary>
/// Removes a folder and all below it by descriptors. .NET's own recursive delete can't: it loses names that are not
/// UTF-8, and a layer may hold such names.
/// </summary>
internal static class FolderRemoval
{
    /// <summary>Deeper than anything a layer may hold, so that a foreign tree can't exhaust descriptors.</summary>
    private const int MaxDepth = 1024;

    /// <summary>Removes <paramref name="path"/> if it is there. Links are removed, never followed.</summary>
    internal static void Remove(string path)
    {
        string parent = Path.GetDirectoryName(path)
            ?? throw new ArgumentException("The root can't be removed.", nameof(path));
        if (Directory.Exists(parent))
        {
            using UnixFolder folder = UnixFolder.Open(parent);
            Remove(folder, Encoding.UTF8.GetBytes(Path.GetFileName(path)), MaxDepth);
        }
    }

    private static void Remove(UnixFolder parent, byte[] name, int depthLeft)
    {
        Errno plain = parent.TryRemove(name, folder: false);
        if (plain is Errno.None or Errno.NoEntry)
        {
            return;
        }

        if (plain != Errno.IsFolder || depthLeft == 0)
        {
            throw UnixError.From(plain, "unlink", Encoding.UTF8.GetString(name));
        }

        Errno opened = parent.TryOpenFolder(name, out UnixFolder? folder);
        if (opened != Errno.None)
        {
            throw UnixError.From(opened, "open", Encoding.UTF8.GetString(name));
        }

        using (folder)
        {
            foreach (byte[] child in folder!.ReadNames())
            {
                Remove(folder, child, depthLeft - 1);
            }
        }

        Errno removed = parent.TryRemove(name, folder: true);
        if (removed is not (Errno.None or Errno.NoEntry))
        {
            throw UnixError.From(removed, "rmdir", Encoding.UTF8.GetString(name));
        }
    }
}
