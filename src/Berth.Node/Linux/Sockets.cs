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
    public static FileDescriptor MakeTcp()
    {
        int number = Libc.MakeSocket(Libc.AF_INET, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("socket");
    }

    /// <summary>Begins to connect a non-blocking socket to 127.0.0.1. Throws LinuxException.</summary>
    public static unsafe void BeginConnectLoopback(FileDescriptor socket, int port)
    {
        Libc.InternetAddress address = new()
        {
            Family = Libc.AF_INET,
            Port = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((ushort)port),
            Address = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(0x7f000001u),
        };
        if (Libc.Connect(socket, &address, sizeof(Libc.InternetAddress)) < 0
            && Marshal.GetLastPInvokeError() != Errno.InProgress)
        {
            throw LinuxException.Last("connect");
        }
    }

    /// <summary>Whether what was begun has come to an end. Throws LinuxException when it failed.</summary>
    public static unsafe bool IsConnected(FileDescriptor socket)
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

        return error == 0 ? true : throw new LinuxException("connect", "127.0.0.1", error);
    }
}
