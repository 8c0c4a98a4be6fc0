using System.Globalization;

namespace Berth.Server.Logs;

/// <summary>
/// The files of one run's log: <c>000000.log</c>, <c>000001.log</c>, … of equal limit. The first is kept for good,
/// because how a program began explains the most; of the others only the newest are.
/// </summary>
internal static class LogSegments
{
    public const int Kept = 10;

    public static string PathOf(string folder, int number) =>
        Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{number:D6}.log"));

    /// <summary>Numbers of the segments there are, ascending; empty without a folder.</summary>
    public static IReadOnlyList<int> List(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }

        List<int> numbers = [];
        foreach (string path in Directory.EnumerateFiles(folder, "*.log"))
        {
            if (int.TryParse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture, out int number))
            {
                numbers.Add(number);
            }
        }

        numbers.Sort();
        return numbers;
    }

    /// <summary>The segment that has to go when <paramref name="newest"/> is begun, or null.</summary>
    public static int? Overflow(int newest) => newest >= Kept ? newest - Kept + 1 : null;
}
