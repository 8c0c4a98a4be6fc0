using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>What .NET's sockets lack.</summary>
internal static class Sockets
{
    /// <summary>One descriptor out of the next message of a unix socket (SCM_RIGHTS), close-on-exec. Waits for none:
    /// the message must be there. Throws LinuxException.</summary>
    public static unsafe FileDescriptor ReceiveDescriptor(SafeHandle socket)
    {
        const int ControlBytes = 64;
        byte* control = stackalloc byte[ControlBytes];
        byte* data = stackalloc byte[256];
        Libc.IoVector vector = new() { Start = data, Length = 256 };
        Libc.MessageHeader message = new()
        {
            Vectors = &vector,
            VectorCount = 1,
            Control = control,
            ControlLength = ControlBytes,
        };
        if (Libc.ReceiveMessage(socket, &message, Libc.MSG_DONTWAIT | Libc.MSG_CMSG_CLOEXEC) < 0)
        {
            throw LinuxException.Last("recvmsg");
        }

        Libc.ControlHeader* header = (Libc.ControlHeader*)control;
        return message.ControlLength >= (nuint)(sizeof(Libc.ControlHeader) + sizeof(int))
            && header->Level == Libc.SOL_SOCKET && header->Type == Libc.SCM_RIGHTS
            ? new FileDescriptor(*(int*)(control + sizeof(Libc.ControlHeader)))
            : throw new LinuxException("recvmsg", "no descriptor came", Errno.Invalid);
    }

    /// <summary>A TCP socket of this process's network, close-on-exec. Throws LinuxException.</summary>
    public static FileDescriptor MakeTcp(AddressFamily family = AddressFamily.InterNetwork)
    {
        int domain = family == AddressFamily.InterNetworkV6 ? Libc.AF_INET6 : Libc.AF_INET;
        int number = Libc.MakeSocket(domain, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("socket");
    }

    /// <summary>A second descriptor for one of .NET's. Throws LinuxException.</summary>
    public static FileDescriptor Duplicate(Socket socket)
    {
        int number = Libc.DuplicateSocket(socket.SafeHandle, Libc.F_DUPFD_CLOEXEC, 3);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("fcntl", "F_DUPFD_CLOEXEC");
    }

    /// <summary>Has what is written leave at once, however short it is. Throws LinuxException.</summary>
    public static unsafe void SendAtOnce(FileDescriptor socket)
    {
        int yes = 1;
        if (Libc.SetSocketOption(socket, Libc.IPPROTO_TCP, Libc.TCP_NODELAY, &yes, sizeof(int)) < 0)
        {
            throw LinuxException.Last("setsockopt", "TCP_NODELAY");
        }
    }

    /// <summary>Begins to connect a non-blocking socket. Throws LinuxException.</summary>
    public static unsafe void BeginConnect(FileDescriptor socket, IPEndPoint to)
    {
        SocketAddress address = to.Serialize();
        fixed (byte* start = address.Buffer.Span)
        {
            if (Libc.Connect(socket, start, address.Size) < 0
                && Marshal.GetLastPInvokeError() is not (Errno.InProgress or Errno.Interrupted))
            {
                throw LinuxException.Last("connect", to.ToString());
            }
        }
    }

    /// <summary>Whether what was begun has come to an end. Throws LinuxException when it failed.</summary>
    /// <param name="to">Where it was to lead, for the error.</param>
    public static unsafe bool IsConnected(FileDescriptor socket, IPEndPoint to)
    {
        Libc.PollEntry entry = new() { Descriptor = socket.Number, Events = Libc.POLLOUT };
        int ready = Libc.Poll(&entry, 1, 0);
        if (ready == 0 || (ready < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted))
        {
            return false;
        }

        int error;
        int length = sizeof(int);
        if (ready < 0 || Libc.GetSocketOption(socket, Libc.SOL_SOCKET, Libc.SO_ERROR, &error, &length) < 0)
        {
            throw LinuxException.Last("getsockopt");
        }

        return error == 0 ? true : throw new LinuxException("connect", to.ToString(), error);
    }
}
