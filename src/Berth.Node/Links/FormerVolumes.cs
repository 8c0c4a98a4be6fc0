using System.Globalization;
using Berth.Core.Containers;
using Berth.Core.Errors;

namespace Berth.Node.Links;

/// <summary>
/// Volumes of the time before this machine joined. Its servers gave them up when they removed the node, so a new one of
/// the same name is another volume: the old one's files are set aside, beside the living ones and never as one of them.
/// Nothing here removes them.
/// </summary>
internal static class FormerVolumes
{
    /// <summary>No volume's name begins like that.</summary>
    private const string Prefix = ".left-";

    /// <summary>Sets aside what there is, before the machine has its new identity. Those that a container alone has
    /// have an id in their name, and stay. Throws BerthException (<c>NodeFault</c>).</summary>
    /// <param name="folder">The node's data folder.</param>
    public static void SetAside(string folder, TimeProvider time)
    {
        string volumes = VolumesOf(folder);
        string[] former = NamesIn(volumes);
        if (former.Length == 0)
        {
            return;
        }

        string target = Path.Combine(
            volumes, Prefix + time.GetUtcNow().ToString("yyyyMMdd'T'HHmmssfff'Z'", CultureInfo.InvariantCulture));
        try
        {
            Directory.CreateDirectory(
                target, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            foreach (string name in former)
            {
                Directory.Move(Path.Combine(volumes, name), Path.Combine(target, name));
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The volumes of the time before this machine joined can't be set aside in {target}: {error.Message}",
                error);
        }
    }

    /// <summary>Folders of what was set aside; none where there is nothing.</summary>
    public static IReadOnlyList<string> In(string folder) => Directory.Exists(VolumesOf(folder))
        ? [.. Directory.EnumerateDirectories(VolumesOf(folder), Prefix + "*").Order(StringComparer.Ordinal)]
        : [];

    private static string VolumesOf(string folder) => Path.Combine(folder, "volumes");

    private static string[] NamesIn(string volumes) => Directory.Exists(volumes)
        ? [
            .. Directory.EnumerateDirectories(volumes).Select(path => Path.GetFileName(path))
                .Where(name => ContainerName.IsValid(name) && !ContainerName.IsAnonymousVolume(name)),
        ]
        : [];
}
