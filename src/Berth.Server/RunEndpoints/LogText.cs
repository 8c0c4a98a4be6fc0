using System.Buffers;
using System.Globalization;
using System.Text;
using Berth.Server.Hosting;
using Berth.Server.Logs;

namespace Berth.Server.RunEndpoints;

/// <summary>Logs as they are asked for and told.</summary>
internal static class LogText
{
    private const int MostTail = 1_000_000;

    private static readonly TimeSpan LongAgo = TimeSpan.FromDays(3650);

    /// <summary>Reads <c>follow</c>, <c>tail</c> and <c>since</c>.</summary>
    public static LogQuery QueryOf(QueryText query, TimeProvider time)
    {
        int tail = query.Number("tail", 0, MostTail, -1);
        return new LogQuery(query.Switch("follow"), tail < 0 ? null : tail, Since(query, time));
    }

    /// <param name="within">Whether what was written last goes on here.</param>
    /// <param name="prefix">Of each line that is begun.</param>
    public static void Write(
        IBufferWriter<byte> writer, LogLine line, bool within, bool timestamps, string prefix = "")
    {
        if (line.Gap > 0)
        {
            writer.Write(Encoding.ASCII.GetBytes(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{(within ? "\n" : "")}{prefix}[{line.Gap} bytes left out: the log had reached its limit]\n")));
            within = false;
        }

        if (!within)
        {
            writer.Write(Encoding.ASCII.GetBytes(prefix));
        }

        if (timestamps && !within)
        {
            writer.Write(Encoding.ASCII.GetBytes(
                line.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ ", CultureInfo.InvariantCulture)));
        }

        writer.Write(line.Text.Span);
        if (!line.Partial)
        {
            writer.Write("\n"u8);
        }
    }

    private static DateTimeOffset? Since(QueryText query, TimeProvider time)
    {
        if (query.Find("since") is not { } text)
        {
            return null;
        }

        if (DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at))
        {
            return at;
        }

        return Core.Resources.Duration.TryParse(text, out TimeSpan ago) && ago <= LongAgo
            ? time.GetUtcNow() - ago
            : throw QueryText.Refuse(
                "since", text, "expected a time such as 2026-01-31T12:00:00Z or a length of time such as 10m");
    }
}
