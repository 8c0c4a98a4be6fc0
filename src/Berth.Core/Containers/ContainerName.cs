using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Containers;

/// <summary>Names that people give to containers and volumes, by docker's rule.</summary>
public static partial class ContainerName
{
    public const int MaxLength = 63;

    /// <summary>How the name of a volume begins that was given none, and has an id behind it.</summary>
    public const string AnonymousVolume = "anonymous-";

    /// <summary>How many names there are to invent.</summary>
    public static int Inventable => Manners.Length * Boats.Length;

    private static readonly string[] Manners =
    [
        "agile", "amber", "brave", "brisk", "calm", "clear", "coral", "eager", "early", "fair", "fleet", "fond",
        "fresh",
        "gentle", "glad", "grand", "handy", "hardy", "keen", "kind", "light", "lively", "lucky", "merry", "mild",
        "neat", "noble", "proud", "quick", "quiet", "ready", "sharp", "smart", "sound", "steady", "sunny", "swift",
        "tidy", "trim", "warm",
    ];

    private static readonly string[] Boats =
    [
        "barge", "bark", "brig", "canoe", "clipper", "coaster", "coble", "cog", "corvette", "cutter", "dhow", "dinghy",
        "dory", "ferry", "frigate", "galley", "gig", "hoy", "hulk", "jolly", "junk", "kayak", "ketch", "launch",
        "lighter", "lugger", "packet", "pilot", "pinnace", "punt", "raft", "sampan", "schooner", "scow", "skiff",
        "sloop", "tanker", "tender", "trawler", "tug", "wherry", "yacht", "yawl",
    ];

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static string Check(string name, string what) => IsValid(name)
        ? name
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{(name.Length > 100 ? name[..100] + "…" : name)}' is no name for a {what}: a name has 2 to {MaxLength} "
            + "letters, digits, '_', '.' and '-', and begins with a letter or a digit.");

    /// <summary>Whether it is a volume's that was given none.</summary>
    public static bool IsAnonymousVolume(string name) => name.StartsWith(AnonymousVolume, StringComparison.Ordinal);

    public static bool IsValid(string name) => Form().IsMatch(name);

    /// <summary>A name for a container that was given none.</summary>
    /// <param name="number">Any number that is not negative; neighbours give different names.</param>
    public static string Invent(int number) =>
        $"{Manners[number % Manners.Length]}_{Boats[number / Manners.Length % Boats.Length]}";

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_.-]{1,62}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
