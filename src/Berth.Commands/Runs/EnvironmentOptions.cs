using System.CommandLine;
using Berth.Core.Errors;

namespace Berth.Commands.Runs;

/// <summary><c>-e</c> and <c>--env-file</c>: what is given to the program as variables.</summary>
internal sealed class EnvironmentOptions
{
    private readonly Option<string[]> variables = new("--env", "-e")
    {
        HelpName = "KEY=VALUE",
        Description = "Set a variable; KEY alone passes on this shell's value (repeatable)",
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string[]> files = new("--env-file")
    {
        HelpName = "FILE",
        Description = "Set the variables of a file, a KEY=VALUE on each line (repeatable)",
        AllowMultipleArgumentsPerToken = false,
    };

    public void AddTo(Command command)
    {
        command.Add(variables);
        command.Add(files);
    }

    /// <summary>Those of files first: what is given by name wins.</summary>
    public Dictionary<string, string> Read(Session session)
    {
        Dictionary<string, string> read = new(StringComparer.Ordinal);
        foreach (string file in session.Get(files) ?? [])
        {
            foreach (string line in LinesOf(file))
            {
                Add(read, line, "--env-file " + file, session);
            }
        }

        foreach (string text in session.Get(variables) ?? [])
        {
            Add(read, text, "--env", session);
        }

        return read;
    }

    private static void Add(Dictionary<string, string> read, string text, string option, Session session)
    {
        if (text.Contains('=', StringComparison.Ordinal))
        {
            (string key, string value) = RunSettings.Pair(text, option);
            read[key] = value;
        }
        else if (session.Terminal.Variable(text) is { } value)
        {
            read[text] = value;
        }
    }

    private static IEnumerable<string> LinesOf(string file)
    {
        try
        {
            return [.. File.ReadLines(file).Select(l => l.TrimStart()).Where(l => l.Length > 0 && l[0] != '#')];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"--env-file: '{file}' can't be read: {e.Message}", e);
        }
    }
}
