using System.Globalization;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Resources;

namespace Berth.Node.Engines;

/// <summary>
/// What runs in a sandbox, as /proc tells it (proc(5)). Names and arguments are the programs' own words: read to a
/// limit, not made safe to show. A process that ends meanwhile is left out.
/// </summary>
internal static class SandboxProcesses
{
    private const int MostProcesses = 4096;
    private const int MostCommandBytes = 4096;

    /// <summary>USER_HZ, which the kernel's interface fixes at 100 (time(7)).</summary>
    private const long TicksPerSecond = 100;

    private const int InitInside = 1;

    /// <param name="ids">Process ids of this machine's.</param>
    /// <param name="firstUser">This machine's id of the sandbox's user 0.</param>
    public static IReadOnlyList<ProcessView> Read(IEnumerable<int> ids, uint firstUser) =>
        [.. ids.Take(MostProcesses).Select(id => TryRead(id, firstUser)).OfType<ProcessView>().OrderBy(p => p.Id)];

    private static ProcessView? TryRead(int id, uint firstUser)
    {
        try
        {
            string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/{id}");
            Dictionary<string, string> status = StatusOf(folder);
            int inside = int.Parse(Last(status["NSpid"]), CultureInfo.InvariantCulture);
            if (inside == InitInside)
            {
                return null;
            }

            long resident = status.TryGetValue("VmRSS", out string? kibibytes) ? FirstNumber(kibibytes) : 0;
            string command = CommandOf(folder);
            return new ProcessView(
                inside, (uint)(FirstNumber(status["Uid"]) - firstUser), ProcessorTimeOf(folder),
                ByteSize.FromBytes(resident * 1024), command.Length > 0 ? command : $"[{status["Name"]}]");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or KeyNotFoundException
            || error.HResult == Linux.Errno.NoSuchProcess)
        {
            return null;
        }
    }

    private static Dictionary<string, string> StatusOf(string folder)
    {
        Dictionary<string, string> fields = new(StringComparer.Ordinal);
        foreach (string line in File.ReadLines(folder + "/status"))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                fields.TryAdd(line[..colon], line[(colon + 1)..].Trim());
            }
        }

        return fields;
    }

    /// <summary>Fields 14 and 15 of stat, counted from behind the name, which may have any character.</summary>
    private static TimeSpan ProcessorTimeOf(string folder)
    {
        string stat = File.ReadAllText(folder + "/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        long ticks = FirstNumber(fields[11]) + FirstNumber(fields[12]);
        return TimeSpan.FromTicks(ticks * (TimeSpan.TicksPerSecond / TicksPerSecond));
    }

    private static string CommandOf(string folder)
    {
        byte[] buffer = new byte[MostCommandBytes];
        using var file = File.OpenRead(folder + "/cmdline");
        int length = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        return Encoding.UTF8.GetString(buffer, 0, length).TrimEnd('\0').Replace('\0', ' ');
    }

    private static long FirstNumber(string text) =>
        long.Parse(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture);

    private static string Last(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[^1];
}
