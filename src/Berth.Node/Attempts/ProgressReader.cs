using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Berth.Api.Nodes;

namespace Berth.Node.Attempts;

/// <summary>
/// Reads what a program writes to the descriptor named by BERTH_PROGRESS_FD: lines of a per cent number and, after a
/// space, words of its own. Lines that are not that are ignored; none of it can harm or hold up anything.
/// </summary>
internal static class ProgressReader
{
    private const int MaxLine = 1024;
    private const int MaxMessage = 200;

    /// <summary>Returns at the end of the stream, or when it was closed.</summary>
    public static async Task ReadAsync(Stream stream, ChannelWriter<ProgressReport> reports)
    {
        byte[] buffer = new byte[MaxLine];
        int kept = 0;
        try
        {
            int count;
            while ((count = await stream.ReadAsync(buffer.AsMemory(kept), CancellationToken.None)) > 0)
            {
                kept += count;
                int end;
                while ((end = buffer.AsSpan(0, kept).IndexOf((byte)'\n')) >= 0)
                {
                    Report(buffer.AsSpan(0, end), reports);
                    buffer.AsSpan(end + 1, kept - end - 1).CopyTo(buffer);
                    kept -= end + 1;
                }

                // A line without an end in sight is dropped as it comes.
                kept = kept == buffer.Length ? 0 : kept;
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The attempt was disposed: nobody listens any more.
        }
    }

    /// <summary>Null for what is not a report.</summary>
    public static ProgressReport? Parse(string line)
    {
        string text = line.Trim();
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        string number = (space < 0 ? text : text[..space]).TrimEnd('%');
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent)
            || percent is not (>= 0 and <= 100))
        {
            return null;
        }

        string message = space < 0 ? "" : text[(space + 1)..].Trim();
        message = string.Concat(message.Where(c => !char.IsControl(c)));
        message = message.Length > MaxMessage ? message[..MaxMessage] : message;
        return new ProgressReport(percent, message.Length == 0 ? null : message);
    }

    private static void Report(ReadOnlySpan<byte> line, ChannelWriter<ProgressReport> reports)
    {
        if (Parse(Encoding.UTF8.GetString(line)) is { } report)
        {
            reports.TryWrite(report);
        }
    }
}
