using System.CommandLine;
using Berth.Cli.Servers;
using Berth.Commands.Servers;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary>What the program that starts first knows of the commands of the other.</summary>
public sealed class ServerPartTests
{
    [Fact]
    public void Its_list_of_commands_is_that_of_the_commands() => Assert.Equal(
        ServerCommands.All().Select(Line), ServerPart.Names().Select(Line));

    [Theory]
    [InlineData(true, "serve")]
    [InlineData(true, "serve", "--data", "x")]
    [InlineData(true, "serve", "--help")]
    [InlineData(true, "--verbose", "doctor")]
    [InlineData(true, "--host", "ps", "backup", "f")]
    [InlineData(true, "-H", "http://x:1", "restore", "f")]
    [InlineData(true, "--host=http://x:1", "backup", "-")]
    [InlineData(true, "help", "serve")]
    [InlineData(true, "[suggest:14]", "berth serve --")]
    [InlineData(true, "reference", "docs/reference")]
    [InlineData(false)]
    [InlineData(false, "--help")]
    [InlineData(false, "help")]
    [InlineData(false, "ps", "serve")]
    [InlineData(false, "--context", "serve", "ps")]
    [InlineData(false, "--host", "serve")]
    [InlineData(false, "run", "image", "serve")]
    [InlineData(false, "ser")]
    [InlineData(false, "[suggest:9]", "berth ser")]
    [InlineData(false, "[suggest:9]")]
    [InlineData(false, "")]
    public void A_line_is_for_it_when_its_command_is(bool isMeant, params string[] arguments) =>
        Assert.Equal(isMeant, ServerPart.IsMeant(arguments));

    private static (string Name, string? Description, bool Hidden) Line(Command command) =>
        (command.Name, command.Description, command.Hidden);
}
