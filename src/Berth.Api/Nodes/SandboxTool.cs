namespace Berth.Api.Nodes;

/// <summary>
/// The program of Berth's own that stands in every sandbox. It reads and writes files there as the sandbox's root, seen
/// and held by the sandbox like any other program in it, so that no link of the image leads out.
/// </summary>
public static class SandboxTool
{
    public const string Path = "/dev/.berth-init";

    public const string User = "0:0";

    /// <summary>Exit code when the path is not there or not what it must be; standard error says which.</summary>
    public const int Refused = 2;

    /// <summary>Prints what there is at a path: one JSON object, see <c>docs/internals/init-protocol.md</c>.</summary>
    public static IReadOnlyList<string> Stat(string path) => [Path, "files", "stat", path];

    /// <summary>Writes a tar archive of what is at a path to standard output; names in it begin with the path's
    /// last.</summary>
    public static IReadOnlyList<string> Read(string path) => [Path, "files", "read", path];

    /// <summary>Unpacks a tar archive from standard input into a folder.</summary>
    public static IReadOnlyList<string> Write(string folder) => [Path, "files", "write", folder];
}
