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
}
