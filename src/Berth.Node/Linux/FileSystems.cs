using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <param name="Type">Magic number of the file system (statfs(2)).</param>
/// <param name="Total">Bytes.</param>
/// <param name="Available">Bytes an unprivileged user may still take.</param>
public sealed record FileSystemSpace(long Type, long Total, long Available)
{
    public const long Tmpfs = 0x01021994;
    public const long Cgroup2 = 0x63677270;
    public const long Overlay = 0x794C7630;
}

/// <summary>
/// Calls about files that .NET lacks. None follows a link at the end of the path, but for <see cref="SpaceAt"/>.
/// </summary>
public static class FileSystems
{
    public static unsafe FileSystemSpace SpaceAt(string path)
    {
        Libc.StatFs result;
        if (Libc.StatFsOf(path, &result) < 0)
        {
            throw LinuxException.Last("statfs", path);
        }

        return new FileSystemSpace(
            result.Type, (long)result.Blocks * result.BlockSize, (long)result.BlocksAvailable * result.BlockSize);
    }

    public static unsafe void SetAttribute(string path, string name, ReadOnlySpan<byte> value)
    {
        fixed (byte* start = value)
        {
            if (Libc.LSetXAttr(path, name, start, (nuint)value.Length, 0) < 0)
            {
                throw LinuxException.Last("lsetxattr", $"{path} {name}");
            }
        }
    }

    /// <summary>Null when it is not set, or the file system has no such attributes.</summary>
    public static unsafe byte[]? GetAttribute(string path, string name)
    {
        const int Largest = 64 * 1024;
        byte[] buffer = new byte[Largest];
        fixed (byte* start = buffer)
        {
            const int NoData = 61;
            nint length = Libc.LGetXAttr(path, name, start, Largest);
            if (length >= 0)
            {
                return buffer.AsSpan(0, (int)length).ToArray();
            }

            return Marshal.GetLastPInvokeError() is NoData or Errno.NotSupported
                ? null
                : throw LinuxException.Last("lgetxattr", $"{path} {name}");
        }
    }

    public static void ChangeOwner(string path, uint user, uint group)
    {
        if (Libc.LChOwn(path, user, group) < 0)
        {
            throw LinuxException.Last("lchown", $"{path} to {user}:{group}");
        }
    }

    /// <summary>Opens a named pipe's reading end, whether or not somebody has it open for writing (fifo(7)).</summary>
    public static FileDescriptor OpenFifo(string path)
    {
        int number = Libc.Open(path, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }

    /// <summary>The descriptor only names the folder (O_PATH); it grants no reading.</summary>
    public static FileDescriptor OpenFolder(string path)
    {
        int number = Libc.Open(path, Libc.O_PATH | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }

    /// <summary>Opens a path below a folder without following any link on the way or leaving it (openat2(2)).</summary>
    public static unsafe FileDescriptor OpenInside(FileDescriptor folder, string path, int flags)
    {
        const ulong NoMagicLinks = 0x02;
        const ulong NoLinks = 0x04;
        const ulong Beneath = 0x08;
        Libc.OpenHow how = new() { Flags = (ulong)flags, Resolve = Beneath | NoLinks | NoMagicLinks };
        long number = Libc.OpenAt2(
            Libc.SYS_openat2, folder.Number, path, &how, (nuint)sizeof(Libc.OpenHow));
        GC.KeepAlive(folder);
        return number >= 0 ? new FileDescriptor((int)number) : throw LinuxException.Last("openat2", path);
    }
}
