using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Node.Linux;

/// <summary>
/// A connection to the kernel's network stack, of the namespace that its maker's thread was in. The kernel has answered
/// when a send returns, so nothing here waits. Not thread-safe.
/// </summary>
internal sealed class NetlinkSocket : IDisposable
{
    public const int Route = 0;
    public const int Netfilter = 12;
    public const int Generic = 16;

    private const int Raw = 3;
    private const int Level = 270;
    private const int OptionShortAcks = 10;
    private const int OptionReasons = 11;
    private const int OptionReceiveForce = 33;
    private const ushort ErrorType = 2;
    private const ushort DoneType = 3;
    private const ushort HasReason = 0x200;
    private const int ReceiveBytes = 4 * 1024 * 1024;
    private const int ErrorLength = 20;

    private readonly FileDescriptor socket;
    private readonly byte[] answer = new byte[64 * 1024];

    private NetlinkSocket(FileDescriptor socket) => this.socket = socket;

    /// <summary>Throws LinuxException.</summary>
    public static unsafe NetlinkSocket Open(int protocol)
    {
        int number = Libc.MakeSocket(Libc.AF_NETLINK, Raw | Libc.SOCK_CLOEXEC, protocol);
        FileDescriptor made = number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("socket", "netlink");
        int on = 1;
        int bytes = ReceiveBytes;
        if (Libc.SetSocketOption(made, Level, OptionShortAcks, &on, sizeof(int)) < 0
            || Libc.SetSocketOption(made, Level, OptionReasons, &on, sizeof(int)) < 0
            || Libc.SetSocketOption(made, Libc.SOL_SOCKET, OptionReceiveForce, &bytes, sizeof(int)) < 0)
        {
            LinuxException failed = LinuxException.Last("setsockopt", "netlink");
            made.Dispose();
            throw failed;
        }

        return new NetlinkSocket(made);
    }

    /// <summary>Sends and reads every acknowledgement. Throws LinuxException for the first that is an error.</summary>
    /// <param name="subject">What it is about, for that error.</param>
    /// <param name="each">Called with every answer that is no acknowledgement.</param>
    public void Send(
        NetlinkMessages messages, string subject, Action<ushort, ReadOnlySpan<byte>>? each = null)
    {
        Write(messages, subject);
        int left = messages.Acknowledged;
        LinuxException? first = null;
        while (left > 0 && Read(subject) is > 0 and int length)
        {
            foreach ((ushort type, ushort flags, Range content) in Split(length))
            {
                if (type == ErrorType)
                {
                    left--;
                    first ??= ErrorOf(answer.AsSpan(content), flags, subject);
                }
                else
                {
                    each?.Invoke(type, answer.AsSpan(content));
                }
            }

            // The rest of a batch is void with its first failure, and not acknowledged where it was not looked at.
            if (first is not null)
            {
                break;
            }
        }

        if (first is not null)
        {
            Drain();
            throw first;
        }
    }

    /// <summary>Sends one request that is answered by a list.</summary>
    public void List(NetlinkMessages request, string subject, Action<ushort, ReadOnlySpan<byte>> each)
    {
        Write(request, subject);
        while (Read(subject) is > 0 and int length)
        {
            foreach ((ushort type, ushort flags, Range content) in Split(length))
            {
                if (type == DoneType)
                {
                    return;
                }

                if (type == ErrorType && ErrorOf(answer.AsSpan(content), flags, subject) is { } error)
                {
                    throw error;
                }

                each(type, answer.AsSpan(content));
            }
        }
    }

    public void Dispose() => socket.Dispose();

    /// <summary>The attributes of a message that follow its own structure.</summary>
    public static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> attributes, ushort wanted)
    {
        while (attributes.Length >= 4)
        {
            int length = MemoryMarshal.Read<ushort>(attributes);
            ushort type = (ushort)(MemoryMarshal.Read<ushort>(attributes[2..]) & 0x3fff);
            if (length < 4 || length > attributes.Length)
            {
                break;
            }

            if (type == wanted)
            {
                return attributes[4..length];
            }

            attributes = attributes[Math.Min((length + 3) & ~3, attributes.Length)..];
        }

        return default;
    }

    private unsafe void Write(NetlinkMessages messages, string subject)
    {
        fixed (byte* start = messages.Bytes)
        {
            if (Libc.Send(socket, start, messages.Length, Libc.MSG_NOSIGNAL) != messages.Length)
            {
                throw LinuxException.Last("send", subject);
            }
        }
    }

    private unsafe int Read(string subject)
    {
        fixed (byte* start = answer)
        {
            nint read = Libc.Receive(socket, start, answer.Length, Libc.MSG_DONTWAIT);
            return read >= 0 ? (int)read : throw LinuxException.Last("recv", subject);
        }
    }

    private unsafe void Drain()
    {
        fixed (byte* start = answer)
        {
            while (Libc.Receive(socket, start, answer.Length, Libc.MSG_DONTWAIT) > 0)
            {
            }
        }
    }

    private List<(ushort Type, ushort Flags, Range Content)> Split(int length)
    {
        List<(ushort, ushort, Range)> messages = [];
        int at = 0;
        while (at + 16 <= length)
        {
            int size = MemoryMarshal.Read<int>(answer.AsSpan(at));
            if (size < 16 || at + size > length)
            {
                break;
            }

            messages.Add((
                MemoryMarshal.Read<ushort>(answer.AsSpan(at + 4)), MemoryMarshal.Read<ushort>(answer.AsSpan(at + 6)),
                (at + 16)..(at + size)));
            at += (size + 3) & ~3;
        }

        return messages;
    }

    /// <summary>Null for what succeeded (struct nlmsgerr).</summary>
    private static LinuxException? ErrorOf(ReadOnlySpan<byte> content, ushort flags, string subject)
    {
        int error = MemoryMarshal.Read<int>(content);
        if (error == 0)
        {
            return null;
        }

        ReadOnlySpan<byte> reason = (flags & HasReason) != 0 && content.Length > ErrorLength
            ? Find(content[ErrorLength..], 1)
            : default;
        string why = reason.IsEmpty ? subject : $"{subject}: {Encoding.UTF8.GetString(reason.TrimEnd((byte)0))}";
        return new LinuxException("netlink", why, -error);
    }
}
