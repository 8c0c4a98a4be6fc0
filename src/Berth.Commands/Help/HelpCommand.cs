using System.CommandLine;
using Berth.Core.Errors;

namespace Berth.Commands.Help;

/// <summary><c>berth help</c>: the page of a command, or of something that several commands have in common.</summary>
internal sealed class HelpCommand : Verb
{
    private readonly Argument<string[]> topic = new("topic")
    {
        Description = "A command, or one of: " + string.Join(", ", Topics.All.Select(t => t.Name)),
        Arity = ArgumentArity.ZeroOrMore,
    };

    public HelpCommand()
        : base(
            "help", "Explain a command or a topic",
            new("berth help run", "The same as berth run --help"),
            new("berth help exit-codes", "What each exit code means"),
            new("berth help environment", "Variables that are read, files that are used"))
        => Add(topic);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string[] words = session.Get(topic);
        Command root = session.Result.RootCommandResult.Command;
        Topic? known = words.Length == 1 ? Topics.All.FirstOrDefault(t => t.Name == words[0]) : null;
        string page = known?.Text() ?? HelpPage.Of(Find(root, words), session.Terminal.Width);
        await session.Terminal.Out.WriteAsync(page);
        return 0;
    }

    private static Command Find(Command root, string[] words)
    {
        Command at = root;
        foreach (string word in words)
        {
            at = at.Subcommands.FirstOrDefault(c => c.Name == word || c.Aliases.Contains(word))
                ?? throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"There is no help on '{string.Join(' ', words)}': name a command, or one of "
                    + string.Join(", ", Topics.All.Select(t => t.Name)) + ".");
        }

        return at;
    }
}
