namespace Berth.Node.Linux;

/// <summary>
/// The two ends of a new pipe, both blocking and close-on-exec. Whoever takes an end out of it owns that end.
/// </summary>
public sealed record Pipe(FileDescriptor ReadEnd, FileDescriptor WriteEnd) : IDisposable
{
    /// <summary>Bytes: the kernel's default limit for a pipe's buffer (pipe(7), /proc/sys/fs/pipe-max-size).</summary>
    public const int LargestBuffer = 1024 * 1024;

    /// <param name="openToAll">Mode 0666, so that a program of any user in a user namespace may open
    /// /dev/stdin and /dev/stdout, which are links to the pipe.</param>
    public static unsafe Pipe Create(bool openToAll = false)
    {
        int* ends = stackalloc int[2];
        if (Libc.Pipe2(ends, Libc.O_CLOEXEC) < 0)
        {
            throw LinuxException.Last("pipe2");
        }

        Pipe pipe = new(new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
        if (openToAll)
        {
            pipe.WriteEnd.ChangeMode(0b110_110_110);
        }

        return pipe;
    }

    public void Dispose()
    {
        ReadEnd.Dispose();
        WriteEnd.Dispose();
    }
}

/// <summary>Two connected unix stream sockets, close-on-exec.</summary>
public sealed record SocketPair(FileDescriptor Ours, FileDescriptor Theirs) : IDisposable
{
    public static unsafe SocketPair Create()
    {
        int* ends = stackalloc int[2];
        if (Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0, ends) < 0)
        {
            throw LinuxException.Last("socketpair");
        }

        return new SocketPair(new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    public void Dispose()
    {
        Ours.Dispose();
        Theirs.Dispose();
    }
}
