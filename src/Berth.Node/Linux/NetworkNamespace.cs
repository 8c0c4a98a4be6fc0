using System.Net.Sockets;

namespace Berth.Node.Linux;

/// <summary>
/// Other networks than this process's own. What a thread makes belongs to the namespace that it is in at the moment
/// (setns(2)), and can be used from anywhere afterwards: so what listens on a sandbox's loopback is reached without a
/// network of its own, and a network's rules are set from outside of it.
/// </summary>
internal static class NetworkNamespace
{
    private static readonly Lazy<FileDescriptor> Own = new(() => Open("/proc/thread-self/ns/net"));

    /// <summary>A TCP socket in the network of a process. Throws LinuxException when that is gone.</summary>
    public static FileDescriptor MakeSocket(int pid)
    {
        using FileDescriptor other = Open($"/proc/{pid}/ns/net");
        return Within(other, static () => Sockets.MakeTcp());
    }

    /// <summary>One of .NET's in a namespace. Throws LinuxException.</summary>
    public static Socket MakeSocket(FileDescriptor space, SocketType type, ProtocolType protocol) =>
        Within(space, () => new Socket(AddressFamily.InterNetwork, type, protocol));

    /// <summary>The namespace that this process is in.</summary>
    public static FileDescriptor OfThisProcess() => Own.Value.Duplicate();

    /// <summary>A new namespace with nothing but a loopback device that is down. It goes with its last descriptor,
    /// socket, device and process.</summary>
    /// <param name="inside">Done in it first.</param>
    public static FileDescriptor Make(Action inside)
    {
        FileDescriptor own = Own.Value;
        if (Libc.Unshare(Libc.CLONE_NEWNET) < 0)
        {
            throw LinuxException.Last("unshare", "net");
        }

        try
        {
            inside();
            return Open("/proc/thread-self/ns/net");
        }
        finally
        {
            ComeBack(own);
        }
    }

    /// <summary>Does something in a namespace. It is this thread that is there, so nothing of it may be asynchronous.
    /// </summary>
    public static T Within<T>(FileDescriptor space, Func<T> action)
    {
        FileDescriptor own = Own.Value;
        if (Libc.SetNamespace(space, Libc.CLONE_NEWNET) < 0)
        {
            throw LinuxException.Last("setns", "net");
        }

        try
        {
            return action();
        }
        finally
        {
            ComeBack(own);
        }
    }

    private static void ComeBack(FileDescriptor own)
    {
        if (Libc.SetNamespace(own, Libc.CLONE_NEWNET) < 0)
        {
            Environment.FailFast("A thread could not come back from the network of a sandbox.");
        }
    }

    private static FileDescriptor Open(string path)
    {
        int number = Libc.Open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }
}
