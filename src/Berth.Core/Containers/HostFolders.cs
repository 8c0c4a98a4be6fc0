using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Core.Containers;

/// <summary>Which of a machine's own folders may be put into sandboxes: those that its administrator named, with all
/// that is below them, and never one with Berth's own data.</summary>
/// <param name="allowed">Absolute paths.</param>
/// <param name="data">Folder of Berth's own data; null for none.</param>
public sealed class HostFolders(IEnumerable<string> allowed, string? data)
{
    /// <summary>Of one machine.</summary>
    public const int Most = 64;

    /// <summary>What a setting of them expects.</summary>
    public const string Expected = "absolute paths without links and '..'";

    /// <summary>Each once, in its shortest writing.</summary>
    public IReadOnlyList<string> Allowed { get; } =
        [.. allowed.Select(RunMount.Clean).OfType<string>().Distinct(StringComparer.Ordinal)];

    /// <summary>Throws <c>Forbidden</c>.</summary>
    /// <param name="path">In its shortest writing.</param>
    /// <param name="machine">Whose it is, for people.</param>
    /// <param name="setting">Which would allow it, likewise.</param>
    public void Require(string path, string machine, string setting)
    {
        if (!RunMount.Around(path).Any(Allowed.Contains))
        {
            throw new BerthException(
                ErrorCode.Forbidden,
                $"The folder {path} of {machine} may not be mounted: {setting} decides. A named volume needs no "
                + "permission: '-v NAME:/path'.");
        }

        if (data is not null && (IsWithin(path, data) || IsWithin(data, path)))
        {
            throw new BerthException(
                ErrorCode.Forbidden, $"The folder {path} holds Berth's own data and can't be mounted.");
        }
    }

    private static bool IsWithin(string path, string folder) => RunMount.Around(path).Contains(RunMount.Clean(folder));
}
