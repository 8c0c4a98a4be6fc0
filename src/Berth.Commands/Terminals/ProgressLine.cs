using Berth.Core.Resources;

namespace Berth.Commands.Terminals;

/// <summary>
/// One line on standard error that shows how far long work is: a bar that is redrawn on a terminal, nothing otherwise.
/// Redrawn at most ten times a second, so that it costs nothing beside the work.
/// </summary>
internal sealed class ProgressLine(Terminal terminal, bool quiet) : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly bool visible = terminal.ErrorIsTerminal && !quiet;
    private readonly Lock gate = new();
    private long last;
    private bool drawn;

    /// <summary>Shows <paramref name="text"/> and, where the total is known, a bar.</summary>
    public void Show(string text, long done, long? total)
    {
        if (!visible)
        {
            return;
        }

        lock (gate)
        {
            if (drawn && terminal.Time.GetElapsedTime(last) < Interval && done != total)
            {
                return;
            }

            last = terminal.Time.GetTimestamp();
            drawn = true;
            terminal.Error.Write("\r\e[K" + LineOf(text, done, total));
        }
    }

    /// <summary>Removes the line and writes <paramref name="text"/>, also where no terminal is, unless quiet.</summary>
    public void Finish(string text)
    {
        Clear();
        if (!quiet)
        {
            terminal.Error.WriteLine(text);
        }
    }

    public void Dispose() => Clear();

    internal static string LineOf(string text, long done, long? total)
    {
        if (text.Length > 34)
        {
            text = text[..33] + "…";
        }

        if (total is not > 0)
        {
            return done > 0 ? $"{text,-34} {ByteSize.FromBytes(done)}" : text;
        }

        const int width = 24;
        int filled = (int)(Math.Clamp((double)done / total.Value, 0, 1) * width);
        return $"{text,-34} [{new string('=', filled)}{new string(' ', width - filled)}] "
            + $"{ByteSize.FromBytes(done)} of {ByteSize.FromBytes(total.Value)}";
    }

    private void Clear()
    {
        lock (gate)
        {
            if (drawn)
            {
                terminal.Error.Write("\r\e[K");
                drawn = false;
            }
        }
    }
}
