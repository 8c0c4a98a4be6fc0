using System.CommandLine;
using System.CommandLine.Parsing;
using Berth.Cli.Servers;
using Berth.Commands;
using Berth.Commands.Help;
using Berth.Commands.Terminals;
using Berth.Tests.Gates;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary>What holds for every command, by enumeration.</summary>
public sealed class CommandTreeTests
{
    private static readonly BerthRoot Root = NewRoot();

    public static TheoryData<string> Commands => [.. All(Root).Select(HelpPage.PathOf)];

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_command_is_described_and_has_examples_that_parse(string path)
    {
        Command command = All(Root).Single(c => HelpPage.PathOf(c) == path);

        IDocumented documented = Assert.IsType<IDocumented>(command, exactMatch: false);
        Assert.False(string.IsNullOrWhiteSpace(command.Description), $"{path} has no description");
        Assert.NotEmpty(documented.Examples);
        Assert.All(documented.Examples, AssertParses);
        Assert.Contains(documented.Examples, e => e.Line.Contains(path, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_option_and_argument_is_described(string path)
    {
        Command command = All(Root).Single(c => HelpPage.PathOf(c) == path);

        Assert.All(command.Options, o => Assert.False(string.IsNullOrWhiteSpace(o.Description), $"{path} {o.Name}"));
        Assert.All(command.Arguments, a => Assert.False(string.IsNullOrWhiteSpace(a.Description), $"{path} {a.Name}"));
        Assert.DoesNotContain(command.Options, o => o.Description!.EndsWith('.'));
    }

    public static TheoryData<string> ReferencePages => [.. ReferenceCommand.Pages(Root).Keys];

    [Fact]
    public void Every_page_of_the_reference_is_generated() => Assert.Equal(
        ReferencePages.Select(row => row.Data).Order(),
        Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs/reference")).Select(Path.GetFileName).Order());

    [Theory]
    [MemberData(nameof(ReferencePages))]
    public void The_reference_is_up_to_date(string name)
    {
        string expected = ReferenceCommand.Pages(NewRoot())[name];
        string actual = File.ReadAllText(Path.Combine(Repository.Root, "docs/reference", name));

        Assert.True(expected == actual, $"docs/reference/{name} is old: run 'out/berth reference docs/reference'.");
    }

    internal static IEnumerable<Command> All(Command command) =>
        command.Subcommands.SelectMany(c => All(c).Prepend(c));

    private static void AssertParses(Example example)
    {
        int start = example.Line.IndexOf("berth ", StringComparison.Ordinal);
        Assert.True(start >= 0, example.Line);
        string[] words = ShellWords.Split(example.Line[start..].Split(") ")[0]);

        ParseResult result = Root.Parse(
            ProgramArguments.Protect(Root, words[1..]), new ParserConfiguration { ResponseFileTokenReplacer = null });

        Assert.True(
            result.Errors.Count == 0, $"{example.Line}: {string.Join(' ', result.Errors.Select(e => e.Message))}");
        Assert.IsType<Verb>(result.CommandResult.Command, exactMatch: false);
        Assert.Null(OptionOfTheProgram(result));
    }

    /// <summary>An option of Berth's that stands behind IMAGE, where it is the program's; null for none.</summary>
    internal static string? OptionOfTheProgram(ParseResult result)
    {
        string[] known = [.. result.CommandResult.Command.Options.Concat(Root.Options).Select(o => o.Name)];
        return result.CommandResult.Children.OfType<ArgumentResult>()
            .Where(a => a.Argument.Name == "args")
            .SelectMany(a => a.Tokens)
            .Select(t => t.Value.Split('=')[0])
            .FirstOrDefault(word => word.StartsWith("--", StringComparison.Ordinal) && known.Contains(word));
    }

    internal static BerthRoot NewRoot() => new(
        new Terminal
        {
            Output = Stream.Null,
            Out = TextWriter.Null,
            Error = TextWriter.Null,
            ErrorOutput = Stream.Null,
            OpenInput = () => Stream.Null,
            InputIsTerminal = false,
            OutputIsTerminal = false,
            ErrorIsTerminal = false,
            Variable = _ => null,
            Time = TimeProvider.System,
            FindWidth = () => 100,
        },
        ServerCommands.All());
}
