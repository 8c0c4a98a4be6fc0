using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;
using Berth.Server.Logs;

namespace Berth.Server.Cluster;

/// <summary>Lines of a log between servers: records as on disk, and before one with a gap a line <c>gap BYTES</c>.
/// </summary>
internal static class PeerLogText
{
    private static ReadOnlySpan<byte> Gap => "gap "u8;

    public static void Write(IBufferWriter<byte> writer, LogLine line)
    {
        if (line.Gap > 0)
        {
            writer.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"gap {line.Gap}\n")));
        }

        Span<byte> prefix = writer.GetSpan(LogFormat.PrefixLength);
        writer.Advance(LogFormat.WritePrefix(prefix, line.At, line.Stream, line.Partial));
        writer.Write(line.Text.Span);
        writer.Write("\n"u8);
    }

    /// <param name="broken">What is thrown where the way breaks in the middle, or brings what is no log.</param>
    public static async IAsyncEnumerable<LogLine> ReadAsync(
        PipeReader reader, Func<Exception, Exception> broken,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        long gap = 0;
        await foreach (byte[] record in RecordsAsync(reader, broken, cancellationToken))
        {
            if (TryRead(record, ref gap, out LogLine line))
            {
                yield return line;
            }
        }
    }

    /// <summary>Reads a line of a log. What is none is passed over; a gap is kept for the line after it.</summary>
    public static bool TryRead(byte[] record, ref long gap, out LogLine line)
    {
        line = default;
        if (record.AsSpan().StartsWith(Gap) && long.TryParse(
            record.AsSpan(Gap.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long bytes))
        {
            gap = bytes;
            return false;
        }

        if (!LogFormat.TryParse(record, gap, out line))
        {
            return false;
        }

        gap = 0;
        return true;
    }

    /// <summary>What another server sends, up to each line end.</summary>
    /// <param name="broken">As for <see cref="ReadAsync"/>.</param>
    public static async IAsyncEnumerable<byte[]> RecordsAsync(
        PipeReader reader, Func<Exception, Exception> broken,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult read;
            try
            {
                read = await reader.ReadAsync(cancellationToken);
            }
            catch (Exception error) when (error is IOException or HttpRequestException)
            {
                throw broken(error);
            }

            ReadOnlySequence<byte> rest = read.Buffer;
            while (rest.PositionOf((byte)'\n') is { } end)
            {
                byte[] record = rest.Slice(0, end).ToArray();
                rest = rest.Slice(rest.GetPosition(1, end));
                yield return record;
            }

            if (rest.Length > LogFormat.MaxRecord)
            {
                throw broken(new InvalidDataException("it sent a line that is too long"));
            }

            reader.AdvanceTo(rest.Start, rest.End);
            if (read.IsCompleted)
            {
                await reader.CompleteAsync();
                yield break;
            }
        }
    }
}
