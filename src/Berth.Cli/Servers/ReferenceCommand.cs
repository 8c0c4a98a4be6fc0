using System.CommandLine;
using System.Text;
using Berth.Commands;
using Berth.Commands.Help;
using Berth.Commands.Servers;
using Berth.Server.Configuration;
using Berth.Server.Metrics;
using Berth.Server.OpenApi;
using Berth.Server.Problems;

namespace Berth.Cli.Servers;

/// <summary>
/// Writes the pages of docs/reference from the commands and the program's tables. Hidden: it is for the project.
/// </summary>
internal sealed class ReferenceCommand : Verb
{
    private readonly Argument<string> folder = new("folder") { Description = "Folder to write the pages to" };

    public ReferenceCommand()
        : base(
            "reference", ServerPart.Reference,
            new Example(
                "berth reference docs/reference", "After a change of a command, an option, an error or a route"))
    {
        Hidden = true;
        Add(folder);
    }

    /// <summary>The pages by file name.</summary>
    public static IReadOnlyDictionary<string, string> Pages(Command root) => new Dictionary<string, string>
    {
        ["cli.md"] = Commands(root),
        ["exit-codes.md"] = ExitCodes(),
        ["api.md"] = ApiReference.Markdown(),
        ["configuration.md"] = ConfigurationReference.Markdown(),
        ["errors.md"] = ErrorReference.Markdown(),
        ["metrics.md"] = MetricsReference.Markdown(),
    };

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        foreach ((string name, string text) in Pages(session.Result.RootCommandResult.Command))
        {
            await File.WriteAllTextAsync(Path.Combine(session.Get(folder), name), text, cancellationToken);
        }

        return 0;
    }

    private static string Commands(Command root)
    {
        StringBuilder page = new(
            """
            # Command line

            Generated from the program by `berth reference docs/reference`; a test holds that it is up to date. The
            result of a command goes to standard output, everything else to standard error. [Exit codes](exit-codes.md)
            have a page of their own.


            """);
        page.Append("Options of every command:\n\n| Option | Meaning |\n|---|---|\n");
        AppendOptions(page, HelpPage.OwnOptions(root).Where(o => o.Recursive));
        foreach (Command command in All(root))
        {
            Append(page, command);
        }

        return page.ToString();
    }

    private static IEnumerable<Command> All(Command command) => command.Subcommands
        .Where(c => !c.Hidden)
        .SelectMany(c => c.Subcommands.Count == 0 ? [c] : All(c).Prepend(c));

    private static void Append(StringBuilder page, Command command)
    {
        page.Append(
            $"\n## {HelpPage.PathOf(command)}\n\n{command.Description}.\n\n"
            + $"```text\n{HelpPage.UsageOf(command)}\n```\n");
        if (command.Arguments.Count > 0)
        {
            page.Append("\n| Argument | Meaning |\n|---|---|\n");
            foreach (Argument argument in command.Arguments)
            {
                page.Append($"| `{argument.Name.ToUpperInvariant()}` | {argument.Description} |\n");
            }
        }

        Option[] options = [.. HelpPage.OwnOptions(command)];
        if (options.Length > 0)
        {
            page.Append("\n| Option | Meaning |\n|---|---|\n");
            AppendOptions(page, options);
        }

        if (command is IDocumented documented)
        {
            page.Append("\n```sh\n");
            foreach (Example example in documented.Examples)
            {
                page.Append($"# {example.Meaning}\n{example.Line}\n");
            }

            page.Append("```\n");
        }
    }

    private static void AppendOptions(StringBuilder page, IEnumerable<Option> options)
    {
        foreach (Option option in options)
        {
            string label = HelpPage.LabelOf(option).Trim().Replace("|", "\\|", StringComparison.Ordinal);
            page.Append($"| `{label}` | {HelpPage.DescriptionOf(option)} |\n");
        }
    }

    private static string ExitCodes()
    {
        StringBuilder page = new(
            """
            # Exit codes

            Generated from the program's table of errors. `berth run` passes the program's own exit code on; a program
            ended by a signal gives 128 plus its number. Numbers are those of sysexits.h where one fits; 130 is also
            Ctrl-C.

            | Exit code | Meaning |
            |--:|---|

            """);
        foreach ((int code, string meaning) in Topics.ExitCodeRows())
        {
            page.Append($"| {code} | {meaning} |\n");
        }

        return page.ToString();
    }
}
