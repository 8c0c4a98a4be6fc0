using System.Buffers;
using System.Buffers.Binary;

namespace Berth.Api.Links;

/// <summary>What a frame is. The numbers are the wire's.</summary>
public enum FrameKind : byte
{
    /// <summary>To the node, first of an attempt: an <see cref="AttemptOrder"/>.</summary>
    Order = 1,

    /// <summary>To the node: bytes for standard input.</summary>
    Input = 2,

    /// <summary>To the node: standard input ends.</summary>
    InputEnd = 3,

    /// <summary>To the node: end the program, a <see cref="StopOrder"/>.</summary>
    Stop = 4,

    /// <summary>To the node: a signal, one byte.</summary>
    Signal = 5,

    /// <summary>To the node: stand still.</summary>
    Pause = 6,

    /// <summary>To the node: go on.</summary>
    Resume = 7,

    /// <summary>To the node: so many more bytes of output are welcome, four bytes.</summary>
    OutputCredit = 8,

    /// <summary>To the node: so many more bytes of standard error are welcome, four bytes.</summary>
    ErrorCredit = 9,

    /// <summary>To the node: some sandboxes of this shape are to be expected, a <see cref="ShapeOrder"/>.</summary>
    Expect = 10,

    /// <summary>To the node: it is welcome, a <see cref="NodeWelcome"/>.</summary>
    Welcome = 11,

    /// <summary>To the node: which servers there are, a <see cref="ServerList"/>. Since version 2.</summary>
    Servers = 12,

    /// <summary>To the node, first of a connection: a <see cref="ConnectOrder"/>. Since version 3.</summary>
    Connect = 13,

    /// <summary>To the node: all that there is of networks that are on several machines, a
    /// <see cref="NetworksReport"/>. To those only that said where others reach them.</summary>
    Networks = 14,

    /// <summary>To the node: remove a volume with all that is in it, a <see cref="VolumeOrder"/>. Since version 4.
    /// </summary>
    RemoveVolume = 15,

    /// <summary>To the node: an image may soon be wanted there, a <see cref="FetchOrder"/>. Since version 6.</summary>
    Fetch = 16,

    /// <summary>To the node, first on a container's stream in place of an order: a <see cref="RejoinOrder"/>. Since
    /// version 5.</summary>
    Rejoin = 20,

    /// <summary>To the node, first of a program beside a container's: an <see cref="ExecutionOrder"/>. Since version 5.
    /// </summary>
    Execute = 21,

    /// <summary>To the node: how much the terminal shows, a <see cref="TerminalOrder"/>. Since version 5.</summary>
    Resize = 22,

    /// <summary>To the node: what it keeps is asked for. Since version 5.</summary>
    AskKept = 23,

    /// <summary>To the node: something is not to be kept any more, a <see cref="DropOrder"/>. Since version 5.
    /// </summary>
    Drop = 24,

    /// <summary>To the node: what runs in a container is asked for, a <see cref="ProcessesOrder"/>. Since version 7.
    /// </summary>
    AskProcesses = 25,

    /// <summary>To the server: the program runs, a <see cref="StartedReport"/>.</summary>
    Started = 32,

    /// <summary>Either way: it can't be, a <see cref="RefusalReport"/>.</summary>
    Refused = 33,

    /// <summary>To the server: bytes of standard output.</summary>
    Output = 34,

    /// <summary>To the server: standard output ends.</summary>
    OutputEnd = 35,

    /// <summary>To the server: bytes of standard error.</summary>
    Error = 36,

    /// <summary>To the server: standard error ends.</summary>
    ErrorEnd = 37,

    /// <summary>To the server: a <see cref="ProgressLine"/>.</summary>
    Progress = 38,

    /// <summary>To the server: how it ended, an <see cref="EndReport"/>.</summary>
    Report = 39,

    /// <summary>To the server: so many more bytes of input are welcome, four bytes.</summary>
    InputCredit = 40,

    /// <summary>To the server: the program reads its input no more.</summary>
    InputClosed = 41,

    /// <summary>To the server: who speaks, a <see cref="NodeHello"/>.</summary>
    Hello = 42,

    /// <summary>To the server: how the node does, a <see cref="NodeHeartbeat"/>.</summary>
    Heartbeat = 43,

    /// <summary>To the server: the connection is made.</summary>
    Connected = 44,

    /// <summary>To the server: what an instance uses now, a <see cref="FiguresReport"/>.</summary>
    Figures = 45,

    /// <summary>To the server: the container's program is here, a <see cref="RejoinedReport"/>.</summary>
    Rejoined = 50,

    /// <summary>To the server: how a program beside a container's ended, an <see cref="ExecutionReport"/>.</summary>
    Executed = 51,

    /// <summary>To the server: what is kept, a <see cref="KeptReport"/>.</summary>
    Kept = 52,

    /// <summary>To the server: it is not kept any more.</summary>
    Dropped = 53,

    /// <summary>To the server: what runs, a <see cref="ProcessesReport"/>.</summary>
    Processes = 54,

    /// <summary>Either way: bytes of a connection.</summary>
    Bytes = 64,

    /// <summary>Either way: no more bytes of a connection come.</summary>
    BytesEnd = 65,

    /// <summary>Either way: so many more bytes of a connection are welcome, four bytes.</summary>
    BytesCredit = 66,

    /// <summary>To the server: what can be found on this machine, a <see cref="PresenceReport"/>. To those only that
    /// told of networks.</summary>
    Presence = 46,

    /// <summary>To the server: the volume is removed.</summary>
    VolumeRemoved = 47,

    /// <summary>To the server: the node stops, and the link is to end. Since version 7.</summary>
    Leaving = 48,
}

/// <summary>
/// One frame: a byte for its kind, three for the length of what follows, most significant first. Everything that comes
/// is measured before it is taken: an unknown kind or a length past the kind's own limit is a
/// <see cref="LinkException"/>, which ends the stream it came over.
/// </summary>
public static class LinkFrame
{
    public const int HeadLength = 4;

    /// <summary>The most bytes a frame of this kind may carry; null for a kind that there is not.</summary>
    public static int? LimitOf(FrameKind kind) => kind switch
    {
        FrameKind.Order or FrameKind.Networks or FrameKind.Presence or FrameKind.Execute or FrameKind.Kept
            or FrameKind.Processes => LinkProtocol.MaxOrder,
        FrameKind.Input or FrameKind.Output or FrameKind.Error or FrameKind.Bytes => LinkProtocol.MaxData,
        FrameKind.InputEnd or FrameKind.Pause or FrameKind.Resume or FrameKind.OutputEnd or FrameKind.ErrorEnd
            or FrameKind.InputClosed or FrameKind.Connected or FrameKind.BytesEnd or FrameKind.VolumeRemoved
            or FrameKind.AskKept or FrameKind.Dropped or FrameKind.Leaving => 0,
        FrameKind.Signal => 1,
        FrameKind.OutputCredit or FrameKind.ErrorCredit or FrameKind.InputCredit or FrameKind.BytesCredit
            => sizeof(int),
        FrameKind.Stop or FrameKind.Expect or FrameKind.Welcome or FrameKind.Servers or FrameKind.Started
            or FrameKind.Refused or FrameKind.Progress or FrameKind.Report or FrameKind.Hello or FrameKind.Heartbeat
            or FrameKind.Connect or FrameKind.Figures or FrameKind.RemoveVolume or FrameKind.Rejoin or FrameKind.Resize
            or FrameKind.Drop or FrameKind.Rejoined or FrameKind.Executed or FrameKind.Fetch
            or FrameKind.AskProcesses
            => LinkProtocol.MaxDocument,
        _ => null,
    };

    public static void WriteHead(Span<byte> head, FrameKind kind, int length)
    {
        BinaryPrimitives.WriteInt32BigEndian(head, length);
        head[0] = (byte)kind;
    }

    /// <summary>Takes the first frame off <paramref name="buffer"/>. False where it is not whole yet.</summary>
    /// <exception cref="LinkException">It can't be one.</exception>
    public static bool TryTake(
        ref ReadOnlySequence<byte> buffer, out FrameKind kind, out ReadOnlySequence<byte> payload)
    {
        kind = default;
        payload = default;
        if (buffer.Length < HeadLength)
        {
            return false;
        }

        Span<byte> head = stackalloc byte[HeadLength];
        buffer.Slice(0, HeadLength).CopyTo(head);
        kind = (FrameKind)head[0];
        int length = BinaryPrimitives.ReadInt32BigEndian(head) & 0xFF_FFFF;
        int limit = LimitOf(kind)
            ?? throw new LinkException($"A frame of the unknown kind {head[0]} came over the link.");
        if (length > limit)
        {
            throw new LinkException($"A frame {kind} of {length} bytes came over the link; it may have {limit}.");
        }

        if (buffer.Length < HeadLength + length)
        {
            return false;
        }

        payload = buffer.Slice(HeadLength, length);
        buffer = buffer.Slice(payload.End);
        return true;
    }

    /// <summary>The number that a credit carries.</summary>
    public static int CreditOf(ReadOnlySequence<byte> payload)
    {
        if (payload.Length != sizeof(int))
        {
            throw new LinkException($"A credit has four bytes, not {payload.Length}.");
        }

        Span<byte> bytes = stackalloc byte[sizeof(int)];
        payload.CopyTo(bytes);
        int credit = BinaryPrimitives.ReadInt32BigEndian(bytes);
        return credit is > 0 and <= LinkProtocol.Window
            ? credit
            : throw new LinkException($"A credit of {credit} bytes came over the link; a window has "
                + $"{LinkProtocol.Window}.");
    }
}

/// <summary>What came over a link is not what may come there. Never shown to a caller as it is.</summary>
public sealed class LinkException(string message, Exception? inner = null) : IOException(message, inner);
