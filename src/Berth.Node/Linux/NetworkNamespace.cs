namespace Berth.Node.Linux;

/// <summary>
/// Sockets in another process's network. A socket belongs to the namespace that its maker was in (setns(2)), and can be
/// used from anywhere afterwards: so what listens on a sandbox's loopback is reached without a network of its own.
/// </summary>
internal static class NetworkNamespace
{
    private static readonly Lazy<FileDescriptor> Own = new(() => Open("/proc/thread-self/ns/net"));

    /// <summary>A TCP socket in the network of a process. Throws LinuxException when that is gone.</summary>
    public static FileDescriptor MakeSocket(int pid)
    {
        FileDescriptor own = Own.Value;
        using FileDescriptor other = Open($"/proc/{pid}/ns/net");
        return new FileDescriptor(MakeIn(other, own));
    }

    /// <summary>Synchronous, because it is the thread that changes its namespace.</summary>
    private static int MakeIn(FileDescriptor other, FileDescriptor own)
    {
        if (Libc.SetNamespace(other, Libc.CLONE_NEWNET) < 0)
        {
            throw LinuxException.Last("setns", "net");
        }

        int number = Libc.MakeSocket(Libc.AF_INET, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0);
        LinuxException? failed = number < 0 ? LinuxException.Last("socket") : null;
        if (Libc.SetNamespace(own, Libc.CLONE_NEWNET) < 0)
        {
            Environment.FailFast("A thread could not come back from the network of a sandbox.");
        }

        return failed is null ? number : throw failed;
    }

    private static FileDescriptor Open(string path)
    {
        int number = Libc.Open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }
}
