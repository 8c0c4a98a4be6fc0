using Berth.Oci.Tar;
using Berth.Oci.Unix;

namespace Berth.Oci.Layers;

/// <summary>
/// The chain of open folders from the layer's root to where the last entry was written. Archives are mostly in tree
/// order, so the next entry's folder is a step or two away. Each step opens one name in an open folder and refuses
/// links, so no entry is ever written through a link, whatever the archive put there before.
/// </summary>
internal sealed class FolderStack(UnixFolder root) : IDisposable
{
    private readonly List<(byte[] Name, UnixFolder Folder)> chain = [];

    /// <summary>Told about each folder that had to be made because no entry made it before.</summary>
    internal Action<byte[]>? Implied { get; init; }

    /// <summary>
    /// The open folder at <paramref name="path"/>, owned by the stack. Missing folders are made if wanted, also where
    /// the layer removed what layers below have. Returns null when a component is missing or is no folder;
    /// <paramref name="obstacle"/> is then the part that is in the way.
    /// </summary>
    internal UnixFolder? Enter(ReadOnlySpan<byte> path, bool make, out ReadOnlySpan<byte> obstacle)
    {
        obstacle = default;
        int depth = 0;
        UnixFolder current = root;
        bool onChain = true;
        for (int start = 0; start < path.Length;)
        {
            int slash = path[start..].IndexOf((byte)'/');
            int end = slash < 0 ? path.Length : start + slash;
            ReadOnlySpan<byte> name = path[start..end];
            if (onChain && depth < chain.Count && name.SequenceEqual(chain[depth].Name))
            {
                current = chain[depth].Folder;
            }
            else
            {
                onChain = false;
                CutTo(depth);
                if (Open(current, path[..end], name, make) is not { } next)
                {
                    obstacle = path[..end];
                    return null;
                }

                chain.Add((name.ToArray(), next));
                current = next;
            }

            depth++;
            start = end + 1;
        }

        CutTo(depth);
        return current;
    }

    public void Dispose() => CutTo(0);

    private UnixFolder? Open(UnixFolder parent, ReadOnlySpan<byte> path, ReadOnlySpan<byte> name, bool make)
    {
        Errno error = parent.TryOpenFolder(name, out UnixFolder? folder);
        bool hidesLower = make && error == Errno.NotFolder && LayerWhiteouts.TryLift(parent, name);
        if (make && (error == Errno.NoEntry || hidesLower))
        {
            Errno made = parent.TryMakeFolder(name);
            if (made != Errno.None)
            {
                throw UnixError.From(made, "mkdir", EntryPath.Quote(path));
            }

            Implied?.Invoke(path.ToArray());
            error = parent.TryOpenFolder(name, out folder);
            if (folder is not null)
            {
                SetUp(folder, EntryPath.Quote(path), hidesLower);
            }
        }

        return error switch
        {
            Errno.None => folder,
            Errno.NoEntry or Errno.NotFolder or Errno.Loop => null,
            _ => throw UnixError.From(error, "open", EntryPath.Quote(path)),
        };
    }

    private static void SetUp(UnixFolder folder, string display, bool hidesLower)
    {
        UnixFile.SetMode(folder.Handle, LayerWriter.ImpliedFolderMode, display);
        UnixFile.SetOwner(folder.Handle, 0, 0, display);
        if (hidesLower)
        {
            LayerWhiteouts.MakeOpaque(folder, display);
        }
    }

    private void CutTo(int depth)
    {
        while (chain.Count > depth)
        {
            chain[^1].Folder.Dispose();
            chain.RemoveAt(chain.Count - 1);
        }
    }
}
