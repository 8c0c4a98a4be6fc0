using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Berth.Testing.Server;

namespace Berth.Tests.Edge;

/// <summary>HTTP/2 (RFC 9113) by hand, for what no client library would send: frames, and headers without
/// compression.</summary>
internal sealed class Http2Wire : IAsyncDisposable
{
    public const byte Data = 0;
    public const byte Headers = 1;
    public const byte Priority = 2;
    public const byte Reset = 3;
    public const byte Settings = 4;
    public const byte PushPromise = 5;
    public const byte Ping = 6;
    public const byte GoAway = 7;
    public const byte WindowUpdate = 8;
    public const byte Continuation = 9;
    public const byte EndStream = 1;
    public const byte EndHeaders = 4;

    private readonly TcpClient client = new() { NoDelay = true };
    private NetworkStream? stream;
    private readonly CancellationTokenSource limit = new(HangGuard.Limit);

    public static Task<Http2Wire> OpenAsync(ServerRig rig) => OpenAsync(rig.Address);

    public static async Task<Http2Wire> OpenAsync(Uri address)
    {
        Http2Wire wire = new();
        await wire.client.ConnectAsync(address.Host, address.Port);
        // Kept: a client whose connection has been ended gives none any more.
        wire.stream = wire.client.GetStream();
        await wire.SendAsync([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(Settings, 0, 0)]);
        return wire;
    }

    public static byte[] Frame(byte type, byte flags, uint stream, params byte[] payload)
    {
        byte[] frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8);
        frame[3] = type;
        frame[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame, 9);
        return frame;
    }

    /// <summary>Literal fields without indexing (RFC 7541, section 6.2.2), one "name: value" each.</summary>
    public static byte[] Fields(params string[] fields)
    {
        List<byte> block = [];
        foreach (string field in fields)
        {
            int colon = field.IndexOf(": ", StringComparison.Ordinal);
            block.Add(0);
            Text(block, field[..colon]);
            Text(block, field[(colon + 2)..]);
        }

        return [.. block];
    }

    public static byte[] Number(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public Task SendAsync(byte[] bytes) => stream!.WriteAsync(bytes, limit.Token).AsTask();

    /// <summary>The next frame; null at the end.</summary>
    public async Task<(byte Type, byte Flags, uint Stream, byte[] Payload)?> ReadAsync()
    {
        byte[] head = new byte[9];
        if (await stream!.ReadAtLeastAsync(head, 9, throwOnEndOfStream: false, limit.Token) < 9)
        {
            return null;
        }

        byte[] payload = new byte[BinaryPrimitives.ReadInt32BigEndian(head) >>> 8];
        await stream!.ReadExactlyAsync(payload, limit.Token);
        return (head[3], head[4], BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(5)), payload);
    }

    /// <summary>What comes of it: <c>refused</c>, <c>closed</c>, or the status of the first answer.</summary>
    public async Task<string> OutcomeAsync()
    {
        try
        {
            while (await ReadAsync() is { } frame)
            {
                switch (frame.Type)
                {
                    case Reset or GoAway:
                        return "refused";
                    case Headers:
                        return StatusOf(frame.Payload);
                }
            }

            return "closed";
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            return "closed";
        }
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        limit.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Of an answer's first field, which is :status: the static table has seven, others are literal.</summary>
    private static string StatusOf(byte[] block)
    {
        int at = Array.FindIndex(block, b => b is < 0x20 or >= 0x40);
        return block[at] is >= 0x88 and <= 0x8E
            ? ((string[])["200", "204", "206", "304", "400", "404", "500"])[block[at] - 0x88]
            : "4xx";
    }

    private static void Text(List<byte> block, string text)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        if (bytes.Length < 127)
        {
            block.Add((byte)bytes.Length);
        }
        else
        {
            block.Add(127);
            int rest = bytes.Length - 127;
            for (; rest >= 128; rest >>= 7)
            {
                block.Add((byte)(rest | 128));
            }

            block.Add((byte)rest);
        }

        block.AddRange(bytes);
    }
}
