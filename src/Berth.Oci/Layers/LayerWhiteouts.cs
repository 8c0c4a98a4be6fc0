using Berth.Oci.Tar;
using Berth.Oci.Unix;

namespace Berth.Oci.Layers;

/// <summary>
/// What a layer takes away from those below it (OCI image specification, layer.md, "Whiteouts"), in overlayfs' own
/// terms. A whiteout never touches what the same layer holds, whichever came first in the archive.
/// </summary>
internal static class LayerWhiteouts
{
    /// <summary>
    /// overlayfs' mark of a folder that hides the one below (Documentation/filesystems/overlayfs.rst).
    /// </summary>
    internal const string OpaqueAttribute = "trusted.overlay.opaque";

    internal static ReadOnlySpan<byte> Prefix => ".wh."u8;

    internal static ReadOnlySpan<byte> OpaqueName => ".wh..wh..opq"u8;

    internal static bool IsWhiteout(ReadOnlySpan<byte> name) => name.StartsWith(Prefix);

    internal static bool IsWhiteout(in NodeStatus status) =>
        status is { Kind: NodeKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 };

    /// <summary>Refuses entries inside a folder that is itself named as a whiteout.</summary>
    internal static void CheckParents(TarEntry entry, in EntryPath path)
    {
        ReadOnlySpan<byte> parent = path.Parent;
        foreach (Range range in parent.Split((byte)'/'))
        {
            if (parent[range].StartsWith(Prefix))
            {
                throw EntryPath.Refuse(
                    entry.Name, "lies under a name that begins with '.wh.', which marks removed files");
            }
        }
    }

    /// <summary>
    /// Takes the layer's own whiteout of a name away, so that the layer can make the name anew. False when there is
    /// none.
    /// </summary>
    internal static bool TryLift(UnixFolder parent, ReadOnlySpan<byte> name) =>
        parent.TryStatus(name, out NodeStatus status) == Errno.None && IsWhiteout(status)
            && parent.TryRemove(name, folder: false) == Errno.None;

    internal static void MakeOpaque(UnixFolder folder, string display)
    {
        Errno error = UnixFile.TrySetXattr(folder.Handle, OpaqueAttribute, "y"u8);
        if (error != Errno.None)
        {
            throw UnixError.From(error, "fsetxattr", display);
        }
    }

    internal static bool IsOpaque(UnixFolder folder) =>
        UnixFile.GetXattr(folder.Handle, OpaqueAttribute) is [(byte)'y'];

    /// <summary>Applies the whiteout entry called <paramref name="name"/> to <paramref name="folder"/>.</summary>
    internal static void Write(TarEntry entry, UnixFolder folder, ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual(OpaqueName))
        {
            MakeOpaque(folder, entry.Display);
            return;
        }

        ReadOnlySpan<byte> hidden = name[Prefix.Length..];
        if (hidden.IsEmpty || hidden.SequenceEqual("."u8) || hidden.SequenceEqual(".."u8) || hidden.StartsWith(Prefix))
        {
            throw EntryPath.Refuse(entry.Name, "is a whiteout of no possible name");
        }

        Errno error = folder.TryMakeWhiteout(hidden);
        if (error == Errno.Exists)
        {
            HideBelow(folder, hidden, entry.Display);
        }
        else if (error != Errno.None)
        {
            throw UnixError.From(error, "mknod", entry.Display);
        }
    }

    /// <summary>
    /// The layer made the name anew before this whiteout: a folder must hide the lower one, all else does anyway.
    /// </summary>
    private static void HideBelow(UnixFolder parent, ReadOnlySpan<byte> name, string display)
    {
        if (parent.TryOpenFolder(name, out UnixFolder? folder) == Errno.None)
        {
            using (folder)
            {
                MakeOpaque(folder!, display);
            }
        }
    }
}
