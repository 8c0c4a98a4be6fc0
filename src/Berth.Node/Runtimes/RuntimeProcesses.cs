using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Resources;

namespace Berth.Node.Runtimes;

/// <summary>
/// The table that <c>runsc ps</c> prints: UID PID PPID C TTY STIME TIME CMD, one process a line. It tells the name of a
/// program but neither its arguments nor its memory.
/// </summary>
internal static class RuntimeProcesses
{
    private const int MostProcesses = 4096;
    private const int User = 0;
    private const int Id = 1;
    private const int Time = 6;
    private const int Command = 7;
    private const int InitInside = 1;

    /// <summary>Lines that are not of this shape, as the heading, are left out, and so is process 1, the
    /// init.</summary>
    public static IReadOnlyList<ProcessView> Parse(Stream table)
    {
        using StreamReader reader = new(table, leaveOpen: true);
        List<ProcessView> processes = [];
        while (processes.Count < MostProcesses && reader.ReadLine() is { } line)
        {
            string[] fields = line.Split(' ', Command + 1, StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length > Command
                && int.TryParse(fields[Id], NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && uint.TryParse(fields[User], NumberStyles.None, CultureInfo.InvariantCulture, out uint user)
                && id != InitInside)
            {
                TimeSpan used = Duration.TryParse(fields[Time], out TimeSpan told) ? told : TimeSpan.Zero;
                processes.Add(new ProcessView(id, user, used, ByteSize.Zero, fields[Command].Trim()));
            }
        }

        return processes;
    }
}
