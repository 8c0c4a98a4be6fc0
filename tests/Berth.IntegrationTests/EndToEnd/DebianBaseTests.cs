using System.Text.RegularExpressions;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// The one command of the guide that makes a Debian to build upon, run as the page has it. A small stand-in takes
/// mmdebstrap's place, which needs a mirror and a minute; with BERTH_TEST_MMDEBSTRAP=1 it is the real one.
/// </summary>
[Collection("server")]
public sealed partial class DebianBaseTests(BusyboxFixture fixture) : IClassFixture<BusyboxFixture>
{
    /// <summary>
    /// A tree with what the command is to remove from it. It takes no option that the real one was not tried with.
    /// </summary>
    private const string StandIn =
        """
        #!/bin/sh
        set -eu
        for word; do
          case $word in --variant=* | --include=*) ;; --*) exit 64 ;; *) folder=$word ;; esac
        done
        mkdir -p "$folder/bin" "$folder/dev" "$folder/var/lib/apt/lists"
        cp /bin/busybox "$folder/bin/"
        mkfifo "$folder/dev/initctl"
        echo packages > "$folder/var/lib/apt/lists/mirror"

        """;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static bool IsReal => Environment.GetEnvironmentVariable("BERTH_TEST_MMDEBSTRAP") == "1";

    private string Folder => fixture.Shared;

    [Fact]
    public async Task The_command_of_the_guide_makes_a_base_that_an_image_is_built_upon()
    {
        string page = await File.ReadAllTextAsync(
            Path.Combine(ServerProcess.RepositoryRoot(), "docs/guide/registry.md"), Stop);
        string command = Assert.Single(Block().Matches(page)).Groups["command"].Value;

        ToolResult made = await Tool.RunAsync(
            "bash", ["-euo", "pipefail", "-c", $"cd '{Folder}'\n{command}"], [], await VariablesAsync());

        Assert.True(made.ExitCode == 0, made.Text + made.Error);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(Folder, "debian/dev")));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(Folder, "debian/var/lib/apt/lists")));
        await LayerRunsAsync();
        if (IsReal)
        {
            Assert.Equal(
                "42", await fixture.BerthAsync("run", "demo/debian", "python3", "-c", "print(6 * 7)"));
        }
    }

    /// <summary>As the page says it goes on: a folder on top, as one more layer.</summary>
    private async Task LayerRunsAsync()
    {
        string files = Directory.CreateDirectory(Path.Combine(Folder, "files")).FullName;
        await File.WriteAllTextAsync(Path.Combine(files, "word"), "upon it", Stop);
        await fixture.BerthAsync("image", "pack", "demo/upon", files, "--base", "demo/debian");

        string[] shell = IsReal ? ["bash", "-c"] : ["/bin/busybox", "ash", "-c"];
        Assert.Equal("upon it", await fixture.BerthAsync(["run", "demo/upon", .. shell, "read w < /word || echo $w"]));
    }

    private async Task<Dictionary<string, string>> VariablesAsync()
    {
        string tools = Directory.CreateDirectory(Path.Combine(fixture.Server.Folder, "tools")).FullName;
        File.CreateSymbolicLink(Path.Combine(tools, "berth"), ServerProcess.Executable);
        if (!IsReal)
        {
            string standIn = Path.Combine(tools, "mmdebstrap");
            await File.WriteAllTextAsync(standIn, StandIn, Stop);
            File.SetUnixFileMode(standIn, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        return new(fixture.Server.Variables)
        {
            ["PATH"] = $"{tools}:{Environment.GetEnvironmentVariable("PATH")}",
        };
    }

    [GeneratedRegex("^```sh shown\n(?<command>mmdebstrap .*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
