using System.CommandLine;

namespace Berth.Commands.Servers;

/// <summary>
/// What the program that is compiled ahead knows of the commands that it has not: their names and lines in the list
/// of commands, and whether a command line is about one of them.
/// </summary>
internal static class ServerPart
{
    public const string Serve = "Run the server: registry, calls, tasks, and this machine to run them on";
    public const string Backup = "Write all that a running server keeps to one file";
    public const string Restore = "Make a data folder from a backup";
    public const string Store = "Move a server's records to PostgreSQL";
    public const string Doctor = "Look whether this machine can run Berth, and say how to get what is missing";
    public const string Join = "Run work for a server elsewhere: this machine becomes one of its nodes";
    public const string Reference = "Write the reference pages";

    private static readonly string[] TakingValue = ["--host", "-H", "--context"];

    /// <summary>Commands that do nothing, for lists, completion and suggestions.</summary>
    public static IReadOnlyList<Command> Names() =>
    [
        new("serve", Serve), new("backup", Backup), new("restore", Restore), new("store", Store),
        new("doctor", Doctor), new("reference", Reference) { Hidden = true }, new(JoinName, Join),
    ];

    /// <summary>The one of them that stands below another word, <c>node</c>.</summary>
    public const string JoinName = "join";

    /// <summary>
    /// Whether the command, the one whose help is asked for, or the one that a shell is completing is of the server
    /// part. What stands before it can only be options of every command.
    /// </summary>
    public static bool IsMeant(IReadOnlyList<string> arguments)
    {
        if (arguments is [{ } directive, { } line, ..] && directive.StartsWith("[suggest", StringComparison.Ordinal))
        {
            return IsMeant([.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1)]);
        }

        List<string> words = [];
        for (int i = 0; i < arguments.Count && words.Count < 2; i++)
        {
            string word = arguments[i];
            if (TakingValue.Contains(word))
            {
                i++;
            }
            else if (word != "help" && !word.StartsWith('-'))
            {
                words.Add(word);
            }
        }

        return words is ["node", JoinName] || (words is [{ } first, ..] && first != JoinName
            && Names().Any(c => c.Name == first));
    }
}
