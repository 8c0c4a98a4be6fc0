using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The command line on a real terminal. It talks to an address where nobody answers.</summary>
public sealed class TerminalTests
{
    private const int Unreachable = 69;

    [Theory]
    [InlineData("xterm", "", "\e[31mberth:\e[0m There is no answer")]
    [InlineData("xterm", "1", "berth: There is no answer")]
    [InlineData("dumb", "", "berth: There is no answer")]
    public async Task Errors_are_coloured_where_the_terminal_and_the_user_want_it(
        string terminal, string noColor, string expected)
    {
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");
        Dictionary<string, string> variables = Variables(terminal, noColor);

        (int exitCode, string shown) = await Pty.RunAsync($"'{ServerProcess.Executable}' image ls", variables);

        Assert.Equal(Unreachable, exitCode);
        Assert.StartsWith(expected, shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_coloured_where_there_is_no_terminal()
    {
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");

        ToolResult result = await Tool.RunAsync(
            ServerProcess.Executable, ["image", "ls"], [], Variables("xterm", noColor: ""));

        Assert.Equal(Unreachable, result.ExitCode);
        Assert.StartsWith("berth: There is no answer", result.Error, StringComparison.Ordinal);
    }

    private static Dictionary<string, string> Variables(string terminal, string noColor) => new()
    {
        ["BERTH_HOST"] = "http://127.0.0.1:1",
        ["BERTH_TOKEN"] = "none",
        ["TERM"] = terminal,
        ["NO_COLOR"] = noColor,
    };

    [Theory]
    [InlineData("berth conta", "")]
    [InlineData("berth volu", "volume")]
    [InlineData("berth volume cr", "create")]
    [InlineData("berth run --restar", "--restart")]
    public async Task The_shell_completes_what_is_typed(string line, string expected)
    {
        string script = $$"""
            berth() { "$BERTH" "$@"; }
            source <(berth completion bash)
            COMP_LINE='{{line}}' COMP_POINT={{line.Length}}
            COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _berth
            echo "${COMPREPLY[*]}"
            """;

        ToolResult result = await Tool.RunAsync(
            "bash", ["-c", script], [], new Dictionary<string, string> { ["BERTH"] = ServerProcess.Executable });

        Assert.Equal((expected, ""), (result.Succeed(), result.Error));
    }
}
