namespace Berth.Node.Linux;

/// <summary>Calls about files that .NET lacks. None follows a link at the end of the path.</summary>
public static class FileSystems
{
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
