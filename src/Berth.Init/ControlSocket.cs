using System.Text;
using Berth.Init.Linux;
using Berth.Init.Programs;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// The one connection to the node, inherited as descriptor 3. The node is trusted, so a malformed frame is a defect
/// and ends the sandbox like a closed connection does.
/// </summary>
internal sealed unsafe class ControlSocket
{
    public const int Descriptor = 3;

    private readonly int[] attached = new int[FrameLimits.MaxDescriptors];
    private int attachedCount;

    /// <summary>False at end of file: the node is gone. The payload lies in <see cref="FrameMemory"/>.</summary>
    public bool TryReceive(out FrameType type, out byte* payload, out int length)
    {
        byte* header = stackalloc byte[FrameLimits.HeaderBytes];
        type = default;
        payload = null;
        length = 0;
        if (!TryReceiveHeader(header)
            || !FrameHeader.TryDecode(new ReadOnlySpan<byte>(header, FrameLimits.HeaderBytes), out FrameHeader frame))
        {
            return false;
        }

        type = frame.Type;
        length = frame.Length;
        payload = (byte*)FrameMemory.Take((nuint)length + 1);
        return TryFill(payload, length);
    }

    /// <summary>Until there is something to receive. Who waits in recvmsg(2) is woken by every frame that the node
    /// takes, too, for nothing.</summary>
    public static void Wait()
    {
        Kernel.PollEntry readable = new() { Descriptor = Descriptor, Events = Kernel.POLLIN };
        Kernel.Poll(&readable, 1, -1);
    }

    /// <summary>The descriptors that came with the frame just received. Throws InitException when they are not those
    /// that it tells of.</summary>
    public AttachedStreams TakeStreams(StartFrame frame)
    {
        if (attachedCount != frame.Descriptors)
        {
            throw new InitException(0, $"{attachedCount} descriptors came with a frame for {frame.Descriptors}");
        }

        attachedCount = 0;
        return AttachedStreams.Of(frame.Streams, attached);
    }

    /// <summary>All descriptors that came with the frame just received.</summary>
    public int[] TakeAll()
    {
        int[] all = attached[..attachedCount];
        attachedCount = 0;
        return all;
    }

    /// <summary>False when the node is gone.</summary>
    public bool TrySend(ReadOnlyMemory<byte> frame) => TrySend(Descriptor, frame.Span);

    public void SendRefusal(InitException refusal) => SendRefusal(Descriptor, refusal);

    /// <summary>Over another connection than the init's own.</summary>
    public static void SendRefusal(int connection, InitException refusal)
    {
        byte[] detail = Encoding.UTF8.GetBytes(refusal.Message);
        TrySend(
            connection,
            (refusal.Refusal is { } reason
                ? new RefusedFrame(reason, refusal.Errno, detail).Encode()
                : new FailedFrame(refusal.Errno, detail).Encode()).Span);
    }

    private static bool TrySend(int connection, ReadOnlySpan<byte> frame)
    {
        ReadOnlySpan<byte> rest = frame;
        while (rest.Length > 0)
        {
            fixed (byte* start = rest)
            {
                nint count = Kernel.Send(connection, start, rest.Length);
                if (count < 0 && Kernel.Errno != Kernel.EINTR)
                {
                    return false;
                }

                rest = rest[(int)Math.Max(count, 0)..];
            }
        }

        return true;
    }

    /// <summary>Descriptors come with a frame's first byte (unix(7)).</summary>
    private bool TryReceiveHeader(byte* header)
    {
        for (; attachedCount > 0; attachedCount--)
        {
            // Nobody took them.
            Kernel.Close(attached[attachedCount - 1]);
        }

        Kernel.IoVector vector = new() { Start = header, Length = FrameLimits.HeaderBytes };
        Kernel.ControlMessage rights = default;
        Kernel.MessageHeader message = default;
        nint count;
        while (true)
        {
            message.Vectors = &vector;
            message.VectorCount = 1;
            message.Control = &rights;
            message.ControlLength = (nuint)sizeof(Kernel.ControlMessage);
            count = Kernel.Receive(Descriptor, &message, Kernel.MSG_CMSG_CLOEXEC | Kernel.MSG_DONTWAIT);
            if (count > 0)
            {
                break;
            }

            if (count == 0 || Kernel.Errno is not (Kernel.EINTR or Kernel.EAGAIN))
            {
                return false;
            }

            Wait();
        }

        if (message.ControlLength >= Kernel.ControlMessage.HeaderBytes
            && rights.Level == Kernel.SOL_SOCKET && rights.Type == Kernel.SCM_RIGHTS)
        {
            attachedCount = Math.Min(
                (int)(rights.Length - Kernel.ControlMessage.HeaderBytes) / sizeof(int), attached.Length);
            new ReadOnlySpan<int>(rights.Descriptors, attachedCount).CopyTo(attached);
        }

        return TryFill(header + count, FrameLimits.HeaderBytes - (int)count);
    }

    private static bool TryFill(byte* buffer, int length)
    {
        while (length > 0)
        {
            nint count = Kernel.Read(Descriptor, buffer, length);
            if (count == 0 || (count < 0 && Kernel.Errno != Kernel.EINTR))
            {
                return false;
            }

            int taken = (int)Math.Max(count, 0);
            buffer += taken;
            length -= taken;
        }

        return true;
    }
}
