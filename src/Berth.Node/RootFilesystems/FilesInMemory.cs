using System.Globalization;
using Berth.Api.Nodes;
using Berth.Node.Linux;
using Berth.Node.Runtimes;

namespace Berth.Node.RootFilesystems;

/// <summary>A folder of a few small files that are nowhere but in memory, for one program alone: each is its user's,
/// with the mode 0400, and the whole can't be written.</summary>
internal static class FilesInMemory
{
    private const int PageBytes = 4096;
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>A mount that has no place yet.</summary>
    /// <param name="root">Whose accounts say who the user is.</param>
    /// <param name="imageUser">Where the mount names none.</param>
    public static FileDescriptor Make(
        SandboxMount.Files files, FileDescriptor root, OwnerRange owner, string imageUser)
    {
        (uint user, uint group) = OwnerOf(root, files.User ?? imageUser);
        long pages = files.Content.Sum(f => (long)(f.Content.Length + PageBytes - 1) / PageBytes) + 1;
        FileDescriptor tree = Mounts.Make(
            "tmpfs",
            [
                new("size", (pages * PageBytes).ToString(CultureInfo.InvariantCulture)),
                new("nr_inodes", (files.Content.Count + 1).ToString(CultureInfo.InvariantCulture)),
                new("mode", "0755"),
                new("uid", owner.First.ToString(CultureInfo.InvariantCulture)),
                new("gid", owner.First.ToString(CultureInfo.InvariantCulture)),
            ],
            MountAttribute.NoDevices | MountAttribute.NoSetUserId | MountAttribute.NoExecute);
        try
        {
            string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{tree.Number}");
            foreach (SandboxFile file in files.Content)
            {
                Write($"{folder}/{file.Name}", file.Content.Span, owner.First + user, owner.First + group);
            }

            File.SetUnixFileMode(folder + "/.", FolderMode);
            Mounts.SetAttributes(tree, MountAttribute.ReadOnly);
            return tree;
        }
        catch
        {
            tree.Dispose();
            throw;
        }
    }

    private static void Write(string path, ReadOnlySpan<byte> content, uint user, uint group)
    {
        using (FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead,
        }))
        {
            file.Write(content);
        }

        FileSystems.ChangeOwner(path, user, group);
    }

    /// <summary>Whom the init refuses to start the program as, nobody has to read for: it is root's then.</summary>
    private static (uint User, uint Group) OwnerOf(FileDescriptor root, string text)
    {
        try
        {
            ProgramUser found = new ImageAccounts(root).Resolve(text);
            return found.User < OwnerRange.Size && found.Group < OwnerRange.Size
                ? ((uint)found.User, (uint)found.Group)
                : default;
        }
        catch (LookupException)
        {
            return default;
        }
    }
}
