using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text;
using Berth.Commands.Terminals;

namespace Berth.Commands.Help;

/// <summary>Writes the help page of a command: what it is for, how it is written, what can be said, examples.</summary>
internal static class HelpPage
{
    private const int Indent = 2;

    public static string Of(Command command, int width)
    {
        StringBuilder page = new();
        page.Append(command.Description).Append("\n\nUsage: ").Append(UsageOf(command)).Append('\n');
        Section(
            page, "Commands", [.. command.Subcommands.Where(c => !c.Hidden).Select(c => (c.Name, c.Description ?? ""))],
            width);
        Section(
            page, "Arguments", [.. command.Arguments.Select(a => (a.Name.ToUpperInvariant(), a.Description ?? ""))],
            width);
        Section(page, "Options", [.. OwnOptions(command).Select(o => (LabelOf(o), DescriptionOf(o)))], width);
        if (command is not BerthRoot)
        {
            Section(
                page, "Options of every command",
                [.. SharedOptions(command).Select(o => (LabelOf(o), DescriptionOf(o)))], width);
        }

        if (command is IDocumented { Examples.Count: > 0 } documented)
        {
            page.Append("\nExamples:\n");
            foreach (Example example in documented.Examples)
            {
                page.Append($"  # {example.Meaning}\n  {example.Line}\n");
            }
        }

        if (command.Subcommands.Any(c => !c.Hidden))
        {
            page.Append($"\n'{PathOf(command)} COMMAND --help' tells more about one of them.\n");
        }

        return page.ToString();
    }

    /// <summary>The words that lead to a command, for instance <c>berth task submit</c>.</summary>
    public static string PathOf(Command command) =>
        command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{PathOf(parent)} {command.Name}" : "berth";

    public static string UsageOf(Command command)
    {
        string usage = PathOf(command);
        if (command.Subcommands.Any(c => !c.Hidden))
        {
            return usage + " COMMAND";
        }

        usage += " [OPTIONS]";
        foreach (Argument argument in command.Arguments)
        {
            string name = argument.Name.ToUpperInvariant();
            name = argument.Arity.MaximumNumberOfValues > 1 ? name + "..." : name;
            usage += argument.Arity.MinimumNumberOfValues == 0 ? $" [{name}]" : $" {name}";
        }

        return usage;
    }

    public static IEnumerable<Option> OwnOptions(Command command) => command.Options.Where(o => !o.Hidden);

    public static string LabelOf(Option option)
    {
        string? alias = option.Aliases.FirstOrDefault(a => a.Length == 2);
        string value = option.ValueType == typeof(bool) || option.Arity.MaximumNumberOfValues == 0
            ? ""
            : " " + (option.HelpName ?? "VALUE");
        return (alias is null ? "    " : alias + ", ") + option.Name + value;
    }

    public static string DescriptionOf(Option option) =>
        option.Required ? option.Description + " (required)"
        : option.HasDefaultValue && option.ValueType == typeof(string)
            && option.GetDefaultValue() is string { Length: > 0 } value
            ? $"{option.Description} (default {value})"
            : option.Description ?? "";

    private static IEnumerable<Option> SharedOptions(Command command) =>
        command.Parents.OfType<Command>().FirstOrDefault() is { } parent
            ? parent.Options.Where(o => o.Recursive && !o.Hidden).Concat(SharedOptions(parent))
            : [];

    private static void Section(StringBuilder page, string title, List<(string Label, string Text)> lines, int width)
    {
        if (lines.Count == 0)
        {
            return;
        }

        int column = Math.Min(lines.Max(l => l.Label.Length) + Indent + 2, 34);
        page.Append($"\n{title}:\n");
        foreach ((string label, string text) in lines)
        {
            string head = new string(' ', Indent) + label;
            // A label too long for its column stands on a line of its own.
            page.Append(head.Length + 2 > column ? head + "\n" + new string(' ', column) : head.PadRight(column));
            page.AppendJoin("\n" + new string(' ', column), Wrap(text, width - column)).Append('\n');
        }
    }

    private static List<string> Wrap(string text, int width)
    {
        List<string> lines = [""];
        foreach (string word in text.Split(' '))
        {
            if (lines[^1].Length > 0 && lines[^1].Length + 1 + word.Length > width)
            {
                lines.Add(word);
            }
            else
            {
                lines[^1] += (lines[^1].Length == 0 ? "" : " ") + word;
            }
        }

        return lines;
    }
}

/// <summary>Answers <c>--help</c> with <see cref="HelpPage"/>.</summary>
internal sealed class HelpPageAction(Terminal terminal) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        terminal.Out.Write(HelpPage.Of(parseResult.CommandResult.Command, terminal.Width));
        return 0;
    }

    /// <summary>Puts the page in the place of the library's own.</summary>
    public static void Install(Command root, Terminal terminal)
    {
        HelpOption option = root.Options.OfType<HelpOption>().Single();
        option.Description = "Show this page";
        option.Action = new HelpPageAction(terminal);
        // The library's other spellings (-?, /h, /?) are not of this platform.
        option.Aliases.Clear();
        option.Aliases.Add("-h");
    }
}
