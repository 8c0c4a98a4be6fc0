using Microsoft.Win32.SafeHandles;

namespace Berth.Node.Linux;

/// <summary>Calls about files that .NET lacks. None follows a link at the end of the path.</summary>
public static class FileSystems
{
    /// <summary>Lets folders and files have the modes that they are made with: a sandbox's own ids pass through folders
    /// of the node's. Whatever mask the process was started with, what is secret is made with a mode that says so.
    /// </summary>
    public static void UseUsualMask() => _ = Libc.UMask(0b000_010_010);

    public static void ChangeOwner(string path, uint user, uint group)
    {
        if (Libc.LChOwn(path, user, group) < 0)
        {
            throw LinuxException.Last("lchown", $"{path} to {user}:{group}");
        }
    }

    /// <summary>Opens a named pipe's reading end, whether or not somebody has it open for writing (fifo(7)).</summary>
    public static FileDescriptor OpenFifo(string path) => Open(path, Libc.O_RDONLY | Libc.O_NONBLOCK);

    /// <summary>Without a look at what it is and without a lock, for files of the kernel's.</summary>
    public static FileDescriptor OpenForReading(string path) => Open(path, Libc.O_RDONLY);

    public static FileDescriptor OpenForWriting(string path) => Open(path, Libc.O_WRONLY);

    /// <summary>The descriptor only names the folder (O_PATH); it grants no reading.</summary>
    public static FileDescriptor OpenFolder(string path) => Open(path, Libc.O_PATH | Libc.O_DIRECTORY);

    /// <summary>Opens a path below a folder without following any link on the way or leaving it (openat2(2)).</summary>
    public static FileDescriptor OpenInside(FileDescriptor folder, string path, int flags)
    {
        const ulong NoMagicLinks = 0x02;
        const ulong NoLinks = 0x04;
        const ulong Beneath = 0x08;
        return OpenAt(folder, path, flags, Beneath | NoLinks | NoMagicLinks);
    }

    /// <summary>
    /// Opens a path as a process would whose root the folder is: links are followed, but never out of it, and the
    /// kernel's own links not at all (openat2(2), RESOLVE_IN_ROOT). Null when there is no such path.
    /// </summary>
    public static FileDescriptor? TryOpenInRoot(FileDescriptor root, string path, int flags)
    {
        const ulong NoMagicLinks = 0x02;
        const ulong InRoot = 0x10;
        try
        {
            return OpenAt(root, path, flags, InRoot | NoMagicLinks);
        }
        catch (LinuxException error) when (error.Errno is Errno.NoEntry)
        {
            return null;
        }
    }

    /// <summary>A folder, in one that a descriptor stands for. Nothing happens when there is something of the name
    /// already.</summary>
    public static void MakeFolder(FileDescriptor parent, string name, uint owner)
    {
        const int Mode = 0b111_101_101;
        if (Libc.MkDirAt(parent.Number, name, Mode) < 0)
        {
            LinuxException error = LinuxException.Last("mkdirat", name);
            if (error.Errno != Errno.Exists)
            {
                throw error;
            }

            return;
        }

        if (Libc.FChOwnAt(parent.Number, name, owner, owner, Libc.AT_SYMLINK_NOFOLLOW) < 0)
        {
            throw LinuxException.Last("fchownat", name);
        }

        GC.KeepAlive(parent);
    }

    private static unsafe FileDescriptor OpenAt(FileDescriptor folder, string path, int flags, ulong resolve)
    {
        Libc.OpenHow how = new() { Flags = (ulong)flags, Resolve = resolve };
        long number = Libc.OpenAt2(
            Libc.SYS_openat2, folder.Number, path, &how, (nuint)sizeof(Libc.OpenHow));
        GC.KeepAlive(folder);
        return number >= 0 ? new FileDescriptor((int)number) : throw LinuxException.Last("openat2", path);
    }

    /// <summary>Bytes that a file takes on disk: less than its length where it is sparse.</summary>
    public static unsafe long SpaceOf(string path)
    {
        const long BlockSize = 512;
        Libc.FileStatus status;
        return Libc.LStat(path, &status) < 0
            ? throw LinuxException.Last("lstat", path)
            : status.Blocks * BlockSize;
    }

    /// <summary>Whether an open file has lost its name (proc_pid_fd(5)).</summary>
    public static bool IsDeleted(SafeFileHandle file) =>
        new FileInfo($"/proc/self/fd/{file.DangerousGetHandle()}").LinkTarget
            ?.EndsWith(" (deleted)", StringComparison.Ordinal) == true;

    /// <summary>Whose a file is and what it is; of a link, the link's own.</summary>
    public static unsafe FileOwner OwnerOf(string path)
    {
        Libc.FileStatus status;
        if (Libc.LStat(path, &status) < 0)
        {
            throw LinuxException.Last("lstat", path);
        }

        const uint TypeMask = 0xF000;
        const uint Folder = 0x4000;
        const uint Link = 0xA000;
        return new FileOwner(
            status.User, status.Group, (UnixFileMode)(status.Mode & 0xFFF), (status.Mode & TypeMask) == Folder,
            (status.Mode & TypeMask) == Link);
    }

    private static FileDescriptor Open(string path, int flags)
    {
        int number = Libc.Open(path, flags | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }
}

/// <param name="Mode">The permission bits, with those of chmod(1)'s first digit.</param>
public sealed record FileOwner(uint User, uint Group, UnixFileMode Mode, bool IsFolder, bool IsLink);
