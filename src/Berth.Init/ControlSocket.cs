using System.Runtime.InteropServices;
using System.Text;
using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// The one connection to the node, inherited as descriptor 3. The node is trusted, so a malformed frame is a defect
/// and ends the sandbox like a closed connection does.
/// </summary>
internal sealed unsafe class ControlSocket
{
    public const int Descriptor = 3;

    /// <summary>False at end of file: the node is gone. The payload is valid for good; frames are few.</summary>
    public bool TryReceive(out FrameType type, out byte* payload, out int length)
    {
        byte* header = stackalloc byte[FrameLimits.HeaderBytes];
        type = default;
        payload = null;
        length = 0;
        if (!TryFill(header, FrameLimits.HeaderBytes)
            || !FrameHeader.TryDecode(new ReadOnlySpan<byte>(header, FrameLimits.HeaderBytes), out FrameHeader frame))
        {
            return false;
        }

        type = frame.Type;
        length = frame.Length;
        payload = (byte*)NativeMemory.Alloc((nuint)length + 1);
        return TryFill(payload, length);
    }

    /// <summary>False when the node is gone.</summary>
    public bool TrySend(ReadOnlyMemory<byte> frame)
    {
        ReadOnlySpan<byte> rest = frame.Span;
        while (rest.Length > 0)
        {
            fixed (byte* start = rest)
            {
                nint count = Kernel.Send(Descriptor, start, rest.Length);
                if (count < 0 && Kernel.Errno != Kernel.EINTR)
                {
                    return false;
                }

                rest = rest[(int)Math.Max(count, 0)..];
            }
        }

        return true;
    }

    public void SendRefusal(InitException refusal)
    {
        byte[] detail = Encoding.UTF8.GetBytes(refusal.Message);
        TrySend(refusal.Refusal is { } reason
            ? new RefusedFrame(reason, refusal.Errno, detail).Encode()
            : new FailedFrame(refusal.Errno, detail).Encode());
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
