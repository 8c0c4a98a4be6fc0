namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What takes mmdebstrap's place where the guide's commands are typed in, since it needs a mirror: a script
/// that makes the same tree of the packages that are installed here. With BERTH_TEST_MMDEBSTRAP=1 it is the real
/// one.</summary>
internal static class DebianPackages
{
    public static bool IsReal => Environment.GetEnvironmentVariable("BERTH_TEST_MMDEBSTRAP") == "1";

    /// <summary>A PATH that has it, and the executable under test.</summary>
    /// <param name="folder">Gets a folder of tools.</param>
    public static string PathWith(string folder)
    {
        string tools = Directory.CreateDirectory(Path.Combine(folder, "tools")).FullName;
        File.CreateSymbolicLink(Path.Combine(tools, "berth"), ServerProcess.Executable);
        if (!IsReal)
        {
            File.CreateSymbolicLink(
                Path.Combine(tools, "mmdebstrap"),
                Path.Combine(
                    ServerProcess.RepositoryRoot(), "tests/Berth.IntegrationTests/EndToEnd/installed-debian.sh"));
        }

        return $"{tools}:{Environment.GetEnvironmentVariable("PATH")}";
    }
}
