using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Berth.Server.Logs;

/// <summary>
/// How a line stands on disk: the format that Kubernetes' container runtimes write (CRI logging), so that known
/// tools read it: <c>2026-01-02T03:04:05.1234567Z stderr F text</c>. <c>F</c> is a whole line, <c>P</c> one that
/// goes on in the next record.
/// </summary>
internal static class LogFormat
{
    /// <summary>Longest text of one record; longer lines are split (the limit of the CRI's own writers).</summary>
    public const int MaxText = 16 * 1024;

    /// <summary>Longest whole record.</summary>
    public const int MaxRecord = PrefixLength + MaxText + 1;

    /// <summary>28 of the round-trip time, and <c>" stderr F "</c>.</summary>
    public const int PrefixLength = 38;

    /// <summary>Writes the part before the text; returns its length.</summary>
    public static int WritePrefix(Span<byte> target, DateTimeOffset at, LogStream stream, bool partial)
    {
        if (!Utf8Formatter.TryFormat(at.UtcDateTime, target, out int written, new('O')))
        {
            throw new InvalidOperationException("A log prefix did not fit.");
        }

        ReadOnlySpan<byte> rest = stream == LogStream.Output
            ? partial ? " stdout P "u8 : " stdout F "u8
            : partial ? " stderr P "u8 : " stderr F "u8;
        rest.CopyTo(target[written..]);
        return written + rest.Length;
    }

    /// <summary>A whole record with words of the server's own, which stand beside what the program wrote to standard
    /// error.</summary>
    public static byte[] Notice(DateTimeOffset at, string text)
    {
        byte[] words = Encoding.UTF8.GetBytes(text + "\n");
        byte[] record = new byte[PrefixLength + words.Length];
        int length = WritePrefix(record, at, LogStream.Error, partial: false);
        words.CopyTo(record, length);
        return record;
    }

    /// <summary>Reads one record without its line end; false for anything that is not one, such as half a record left
    /// by a power cut.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> record, long gap, out LogLine line)
    {
        ReadOnlySpan<byte> span = record.Span;
        line = default;
        if (span.Length < PrefixLength
            || !DateTimeOffset.TryParseExact(
                Encoding.ASCII.GetString(span[..28]), "O", CultureInfo.InvariantCulture, DateTimeStyles.None,
                out DateTimeOffset at))
        {
            return false;
        }

        LogStream stream = span[28..].StartsWith(" stdout"u8) ? LogStream.Output : LogStream.Error;
        line = new LogLine(at, stream, record[PrefixLength..], span[PrefixLength - 2] == (byte)'P', gap);
        return true;
    }
}
