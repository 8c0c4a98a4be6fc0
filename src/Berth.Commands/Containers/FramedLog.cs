using System.Buffers.Binary;
using Berth.Api.Containers;
using Berth.Commands.Terminals;

namespace Berth.Commands.Containers;

/// <summary>Prints a log whose lines come with their stream, each to its own.</summary>
internal static class FramedLog
{
    private const int HeadLength = 5;
    private const int LongestFrame = 1024 * 1024;

    public static async Task CopyAsync(Stream log, Terminal terminal, CancellationToken cancellationToken)
    {
        byte[] head = new byte[HeadLength];
        byte[] text = new byte[64 * 1024];
        while (await log.ReadAtLeastAsync(head, HeadLength, throwOnEndOfStream: false, cancellationToken) == HeadLength)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(1));
            if (length is < 0 or > LongestFrame)
            {
                throw new IOException("The server's log is not what was asked for.");
            }

            if (text.Length < length)
            {
                text = new byte[length];
            }

            await log.ReadExactlyAsync(text.AsMemory(0, length), cancellationToken);
            Stream target = head[0] == StreamProtocol.Output ? terminal.Output : terminal.ErrorOutput;
            await target.WriteAsync(text.AsMemory(0, length), cancellationToken);
        }
    }
}
