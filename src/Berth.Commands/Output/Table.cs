using Berth.Commands.Terminals;

namespace Berth.Commands.Output;

/// <summary>A column: its head, and whether its numbers line up at the right.</summary>
internal sealed record Column(string Head, bool Right = false);

/// <summary>
/// Lays rows out in columns as docker and kubectl do. Nothing is cut off: lines may be piped to other programs.
/// </summary>
internal sealed class Table(params IReadOnlyList<Column> columns)
{
    private readonly List<string[]> rows = [];

    public int Count => rows.Count;

    public void Add(params string?[] cells) =>
        rows.Add([.. cells.Select(c => string.IsNullOrEmpty(c) ? "-" : c)]);

    public void Write(Terminal terminal)
    {
        int[] widths = [.. columns.Select((c, i) => rows.Select(r => r[i].Length).Append(c.Head.Length).Max())];
        terminal.Out.WriteLine(LineOf([.. columns.Select(c => c.Head)], widths, terminal, colored: false));
        foreach (string[] row in rows)
        {
            terminal.Out.WriteLine(LineOf(row, widths, terminal, terminal.OutputIsColored));
        }
    }

    private string LineOf(string[] cells, int[] widths, Terminal terminal, bool colored)
    {
        IEnumerable<string> padded = cells.Select((cell, i) =>
        {
            string text = columns[i].Right
                ? cell.PadLeft(widths[i]) : i == cells.Length - 1 ? cell
                : cell.PadRight(widths[i]);
            return ColorOf(cell) is { } color ? terminal.Paint(text, color, colored) : text;
        });
        return string.Join("   ", padded).TrimEnd();
    }

    private static Color? ColorOf(string cell) => cell switch
    {
        "succeeded" or "ready" or "ok" => Color.Green,
        "failed" or "missing" => Color.Red,
        "canceled" or "warning" => Color.Yellow,
        "running" or "starting" => Color.Cyan,
        _ => null,
    };
}
