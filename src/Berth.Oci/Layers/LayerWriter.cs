using System.Text;
using Berth.Core.Errors;
using Berth.Oci.Tar;
using Berth.Oci.Unix;

namespace Berth.Oci.Layers;

/// <summary>
/// Writes a layer's entries into its folder in the form that overlayfs stacks: a whiteout becomes a character device
/// 0:0, an opaque marker an attribute. Nothing is written outside the folder or through a link. Owners are stored as
/// the image has them; attributes other than <c>user.*</c> are left out, file capabilities among them.
/// </summary>
internal sealed class LayerWriter : IDisposable
{
    internal const uint ImpliedFolderMode = 0b111_101_101;
    private const uint SpecialBits = 0b111_000_000_000;
    private const uint SetGroupId = 0b010_000_000_000;

    private readonly UnixFolder root;
    private readonly LayerLimits limits;
    private readonly FolderStack folders;
    private readonly FolderStack linkTargets;

    // A folder's time changes with each file made in it, so times are set when all is there.
    private readonly List<(byte[] Path, long Seconds, int Nanoseconds)> folderTimes = [];
    private long folderNames;
    private bool groupsInherited;

    internal LayerWriter(UnixFolder root, LayerLimits limits)
    {
        this.root = root;
        this.limits = limits;
        folders = new FolderStack(root) { Implied = path => NoteFolder(path, 0, 0) };
        linkTargets = new FolderStack(root);
    }

    internal void Write(TarEntry entry, TarReader data)
    {
        EntryPath path = EntryPath.Parse(entry.Name, limits.Tar);
        if (path.IsRoot)
        {
            WriteRoot(entry);
            return;
        }

        LayerWhiteouts.CheckParents(entry, path);
        if (folders.Enter(path.Parent, make: true, out ReadOnlySpan<byte> obstacle) is not { } folder)
        {
            throw EntryPath.Refuse(entry.Name, $"lies under '{EntryPath.Quote(obstacle)}', which is a link or a file");
        }

        if (LayerWhiteouts.IsWhiteout(path.Name))
        {
            LayerWhiteouts.Write(entry, folder, path.Name);
            return;
        }

        switch (entry.Kind)
        {
            case TarEntryKind.File:
                WriteFile(entry, folder, path, data);
                break;
            case TarEntryKind.Folder:
                WriteFolder(entry, folder, path);
                break;
            case TarEntryKind.SymbolicLink:
                WriteSymbolicLink(entry, folder, path);
                break;
            case TarEntryKind.HardLink:
                WriteHardLink(entry, folder, path);
                break;
            default:
                CheckSpecial(entry, path);
                break;
        }
    }

    /// <summary>Gives the folders their times. To be called once, after the last entry.</summary>
    internal void Finish()
    {
        foreach ((byte[] path, long seconds, int nanoseconds) in folderTimes)
        {
            // A later entry may have put something else in a folder's place; that then has a time of its own.
            if (folders.Enter(path, make: false, out _) is { } folder)
            {
                UnixFile.SetTime(folder.Handle, seconds, nanoseconds, EntryPath.Quote(path));
            }
        }
    }

    public void Dispose()
    {
        folders.Dispose();
        linkTargets.Dispose();
    }

    private void WriteRoot(TarEntry entry)
    {
        if (entry.Kind != TarEntryKind.Folder)
        {
            throw EntryPath.Refuse(entry.Name, "would replace the root folder");
        }

        SetAttributes(entry, root.Handle, created: 0);
        NoteFolder([], entry.Seconds, entry.Nanoseconds);
    }

    private void WriteFile(TarEntry entry, UnixFolder folder, in EntryPath path, TarReader data)
    {
        uint created = entry.Mode & ~SpecialBits;
        Errno error = folder.TryCreateFile(path.Name, created, out int descriptor);
        if (error == Errno.Exists)
        {
            MakeRoom(entry, folder, path.Name);
            error = folder.TryCreateFile(path.Name, created, out descriptor);
        }

        if (error != Errno.None)
        {
            throw UnixError.From(error, "open", entry.Display);
        }

        try
        {
            SetAttributes(entry, descriptor, created & ~UnixFile.Umask);
            for (ReadOnlySpan<byte> piece = data.ReadData(); !piece.IsEmpty; piece = data.ReadData())
            {
                UnixFile.Write(descriptor, piece, entry.Display);
            }

            UnixFile.SetTime(descriptor, entry.Seconds, entry.Nanoseconds, entry.Display);
        }
        finally
        {
            UnixFile.Close(descriptor, entry.Display);
        }
    }

    private void WriteFolder(TarEntry entry, UnixFolder parent, in EntryPath path)
    {
        bool hidesLower = false;
        Errno error = parent.TryMakeFolder(path.Name);
        if (error == Errno.Exists && parent.TryStatus(path.Name, out NodeStatus status) == Errno.None
            && status.Kind != NodeKind.Folder)
        {
            hidesLower = LayerWhiteouts.IsWhiteout(status);
            MakeRoom(entry, parent, path.Name);
            error = parent.TryMakeFolder(path.Name);
        }

        if (error is not (Errno.None or Errno.Exists))
        {
            throw UnixError.From(error, "mkdir", entry.Display);
        }

        Errno opened = parent.TryOpenFolder(path.Name, out UnixFolder? folder);
        using (folder)
        {
            if (folder is null)
            {
                throw UnixError.From(opened, "open", entry.Display);
            }

            SetAttributes(entry, folder.Handle, created: 0);
            if (hidesLower)
            {
                LayerWhiteouts.MakeOpaque(folder, entry.Display);
            }
        }

        groupsInherited |= (entry.Mode & SetGroupId) != 0;
        NoteFolder(path.Bytes.ToArray(), entry.Seconds, entry.Nanoseconds);
    }

    private void WriteSymbolicLink(TarEntry entry, UnixFolder folder, in EntryPath path)
    {
        if (entry.LinkTarget.Length is 0 or > UnixFolder.MaxTarget)
        {
            throw EntryPath.Refuse(
                entry.Name,
                $"has a link target of {entry.LinkTarget.Length} bytes; 1 to {UnixFolder.MaxTarget} are accepted");
        }

        CheckOwner(entry);
        Errno error = folder.TryMakeLink(path.Name, entry.LinkTarget);
        if (error == Errno.Exists)
        {
            MakeRoom(entry, folder, path.Name);
            error = folder.TryMakeLink(path.Name, entry.LinkTarget);
        }

        if (error != Errno.None)
        {
            throw UnixError.From(error, "symlink", entry.Display);
        }

        if (groupsInherited || entry.User != 0 || entry.Group != 0)
        {
            folder.SetLinkOwner(path.Name, (uint)entry.User, (uint)entry.Group);
        }

        folder.SetLinkTime(path.Name, entry.Seconds, entry.Nanoseconds);
    }

    private void WriteHardLink(TarEntry entry, UnixFolder folder, in EntryPath path)
    {
        EntryPath target = EntryPath.Parse(entry.LinkTarget, limits.Tar);
        string quoted = EntryPath.Quote(entry.LinkTarget);
        if (target.Bytes.SequenceEqual(path.Bytes))
        {
            throw EntryPath.Refuse(entry.Name, "is a hard link to itself");
        }

        if (target.IsRoot || linkTargets.Enter(target.Parent, make: false, out _) is not { } targetFolder
            || targetFolder.TryStatus(target.Name, out NodeStatus status) != Errno.None
            || status.Kind is not (NodeKind.File or NodeKind.SymbolicLink))
        {
            throw EntryPath.Refuse(entry.Name, $"is a hard link to '{quoted}', which is no file of the same layer");
        }

        Errno error = folder.TryHardLink(path.Name, targetFolder, target.Name);
        if (error == Errno.Exists)
        {
            MakeRoom(entry, folder, path.Name);
            error = folder.TryHardLink(path.Name, targetFolder, target.Name);
        }

        if (error == Errno.TooManyLinks)
        {
            throw EntryPath.Refuse(entry.Name, $"is one hard link to '{quoted}' more than the file system takes");
        }

        if (error != Errno.None)
        {
            throw UnixError.From(error, "link", entry.Display);
        }
    }

    private void CheckSpecial(TarEntry entry, in EntryPath path)
    {
        bool device = path.Bytes.StartsWith("dev/"u8);
        if (!device && limits.SpecialFiles == SpecialFiles.Refuse)
        {
            throw EntryPath.Refuse(
                entry.Name, entry.Kind == TarEntryKind.Fifo ? "is a fifo outside dev/" : "is a device outside dev/");
        }
    }

    /// <summary>A later entry of the same name wins, as in tar; only a folder with content stays.</summary>
    private static void MakeRoom(TarEntry entry, UnixFolder folder, ReadOnlySpan<byte> name)
    {
        Errno error = folder.TryRemove(name, folder: false);
        if (error == Errno.IsFolder)
        {
            error = folder.TryRemove(name, folder: true);
        }

        if (error == Errno.NotEmpty)
        {
            throw EntryPath.Refuse(entry.Name, "would replace a folder that the same layer filled");
        }

        if (error is not (Errno.None or Errno.NoEntry))
        {
            throw UnixError.From(error, "unlink", entry.Display);
        }
    }

    /// <param name="created">Mode that the node has from its creation; what it lacks is set.</param>
    private void SetAttributes(TarEntry entry, int descriptor, uint created)
    {
        CheckOwner(entry);
        bool folder = entry.Kind == TarEntryKind.Folder;
        if (folder || groupsInherited || entry.User != 0 || entry.Group != 0)
        {
            UnixFile.SetOwner(descriptor, (uint)entry.User, (uint)entry.Group, entry.Display);
        }

        // After the owner: a change of owner takes the set-user-id bit away (chown(2)).
        if (folder || created != entry.Mode)
        {
            UnixFile.SetMode(descriptor, entry.Mode, entry.Display);
        }

        foreach ((string name, byte[] value) in entry.Xattrs)
        {
            if (name.StartsWith("user.", StringComparison.Ordinal)
                && !name.StartsWith("user.overlay.", StringComparison.Ordinal))
            {
                SetXattr(entry, descriptor, name, value);
            }
        }
    }

    private static void SetXattr(TarEntry entry, int descriptor, string name, byte[] value)
    {
        Errno error = UnixFile.TrySetXattr(descriptor, name, value);
        if (error == Errno.Invalid)
        {
            throw EntryPath.Refuse(
                entry.Name,
                $"has an extended attribute that can't be called "
                + $"'{EntryPath.Quote(Encoding.UTF8.GetBytes(name))}'");
        }

        if (error is Errno.NoSpace or Errno.TooBig or Errno.Range)
        {
            // ext4 says so when a file's attributes exceed one block; the disk is not full.
            throw EntryPath.Refuse(
                entry.Name,
                $"has the extended attribute '{EntryPath.Quote(Encoding.UTF8.GetBytes(name))}' "
                + $"of {value.Length} bytes, more than the data folder's file system keeps for a file");
        }

        if (error != Errno.None)
        {
            throw UnixError.From(error, "fsetxattr", entry.Display);
        }
    }

    private void CheckOwner(TarEntry entry)
    {
        if (entry.User < 0 || entry.User > limits.MaxOwner || entry.Group < 0 || entry.Group > limits.MaxOwner)
        {
            throw EntryPath.Refuse(
                entry.Name, $"belongs to {entry.User}:{entry.Group}; user and group ids up to {limits.MaxOwner} "
                    + "exist in a sandbox");
        }
    }

    private void NoteFolder(byte[] path, long seconds, int nanoseconds)
    {
        folderNames += path.Length;
        if (folderNames > limits.FolderNames)
        {
            throw new BerthException(
                ErrorCode.ArchiveRefused,
                $"The archive was refused: its folders' paths take more than {limits.FolderNames} bytes together.");
        }

        folderTimes.Add((path, seconds, nanoseconds));
    }
}
