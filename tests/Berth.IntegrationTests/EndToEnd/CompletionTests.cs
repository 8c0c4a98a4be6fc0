using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The scripts for shells that need not be installed; bash runs its own in <see cref="TerminalTests"/>.
/// </summary>
public sealed class CompletionTests
{
    [Theory]
    [InlineData("zsh", "#compdef berth\n", "then _berth \"$@\"; fi\n", "\"[suggest:$point]\" \"$line\"")]
    [InlineData(
        "fish", "function __berth_complete\n", "complete -c berth -a '(__berth_complete)'\n",
        "berth \"[suggest:\"(string length -- $line)\"]\" $line")]
    public async Task A_script_asks_the_program_for_what_may_follow(
        string shell, string begins, string ends, string asks)
    {
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");

        ToolResult script = await Tool.RunAsync(ServerProcess.Executable, ["completion", shell]);

        Assert.Equal((0, ""), (script.ExitCode, script.Error));
        Assert.StartsWith(begins, script.Text, StringComparison.Ordinal);
        Assert.Contains(asks, script.Text, StringComparison.Ordinal);
        Assert.EndsWith(ends, script.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_shell_that_is_not_known_is_refused()
    {
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");

        ToolResult refused = await Tool.RunAsync(ServerProcess.Executable, ["completion", "tcsh"]);

        Assert.Equal((64, ""), (refused.ExitCode, refused.Text));
        Assert.Contains("tcsh", refused.Error, StringComparison.Ordinal);
    }
}
