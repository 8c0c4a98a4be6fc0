using System.Buffers.Binary;

namespace Berth.Api.Links;

/// <summary>What a message of a connection with many streams is. The numbers are the wire's.</summary>
internal enum MultiplexKind : byte
{
    /// <summary>A stream begins; its path in UTF-8.</summary>
    Open = 1,

    /// <summary>Bytes of a stream.</summary>
    Data = 2,

    /// <summary>So many more bytes of a stream are welcome, four bytes.</summary>
    Credit = 3,

    /// <summary>No more bytes of a stream come this way.</summary>
    End = 4,

    /// <summary>A stream is over, both ways, with whatever was under way.</summary>
    Reset = 5,

    /// <summary>Is the other end there? Of no stream.</summary>
    Ping = 6,

    /// <summary>It is. Of no stream.</summary>
    Pong = 7,
}

/// <summary>The head of a message: a byte for its kind, three for the length of what follows, four for the stream, most
/// significant first.</summary>
internal static class MultiplexHead
{
    public const int Length = 8;

    /// <summary>Bytes of one message of data, so that none holds up the others long.</summary>
    public const int MaxData = 32 * 1024;

    private const int MaxPath = 64;

    public static void Write(Span<byte> head, MultiplexKind kind, int length, int stream)
    {
        BinaryPrimitives.WriteInt32BigEndian(head, length);
        head[0] = (byte)kind;
        BinaryPrimitives.WriteInt32BigEndian(head[4..], stream);
    }

    /// <exception cref="LinkException">It can't be one.</exception>
    public static (MultiplexKind Kind, int Length, int Stream) Read(ReadOnlySpan<byte> head)
    {
        MultiplexKind kind = (MultiplexKind)head[0];
        int length = BinaryPrimitives.ReadInt32BigEndian(head) & 0xFFFFFF;
        (int least, int most) = kind switch
        {
            MultiplexKind.Open => (1, MaxPath),
            MultiplexKind.Data => (1, MaxData),
            MultiplexKind.Credit => (sizeof(int), sizeof(int)),
            MultiplexKind.End or MultiplexKind.Reset or MultiplexKind.Ping or MultiplexKind.Pong => (0, 0),
            _ => throw new LinkException($"A message of an unknown kind {head[0]} came over a link."),
        };
        if (length < least || length > most)
        {
            throw new LinkException($"A message {kind} of {length} bytes came over a link.");
        }

        return (kind, length, BinaryPrimitives.ReadInt32BigEndian(head[4..]));
    }
}
