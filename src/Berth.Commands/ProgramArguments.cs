using System.CommandLine;

namespace Berth.Commands;

/// <summary>
/// Keeps the arguments of the program that is to be run from being taken for options of berth: once IMAGE (or the
/// container) is named,
/// everything belongs to the program, as with docker. Done by a "--" behind it, which the parser honours.
/// </summary>
internal static class ProgramArguments
{
    public static IReadOnlyList<string> Protect(Command root, IReadOnlyList<string> arguments)
    {
        Command command = root;
        List<Option> known = [.. root.Options];
        for (int i = 0; i < arguments.Count; i++)
        {
            string word = arguments[i];
            if (word == "--")
            {
                return arguments;
            }

            if (word.StartsWith('-') && word.Length > 1)
            {
                i += TakesNextWord(known, word) ? 1 : 0;
            }
            else if (command.Subcommands.FirstOrDefault(c => c.Name == word || c.Aliases.Contains(word)) is { } next)
            {
                command = next;
                known.AddRange(next.Options);
            }
            else
            {
                return TakesProgram(command) ? [.. arguments.Take(i + 1), "--", .. arguments.Skip(i + 1)] : arguments;
            }
        }

        return arguments;
    }

    private static bool TakesProgram(Command command) =>
        command.Arguments.Count == 2 && command.Arguments[1].Name == "args";

    private static bool TakesNextWord(List<Option> known, string word) =>
        !word.Contains('=', StringComparison.Ordinal)
        && known.FirstOrDefault(o => o.Name == word || o.Aliases.Contains(word)) is { } option
        && option.ValueType != typeof(bool) && option.Arity.MaximumNumberOfValues > 0;
}
