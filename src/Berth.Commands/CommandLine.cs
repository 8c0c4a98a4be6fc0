using System.CommandLine;
using System.CommandLine.Parsing;
using Berth.Api.Errors;
using Berth.Commands;
using Berth.Commands.Help;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands;

/// <summary>
/// Parses and runs one command line. Everything that goes wrong becomes one sentence and an exit code here.
/// </summary>
internal static class CommandLine
{
    private const int UsageExitCode = 64;

    public static async Task<int> RunAsync(
        BerthRoot root, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        Terminal terminal = root.Terminal;
        ParseResult result = root.Parse(
            ProgramArguments.Protect(root, arguments), new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (result.Action is not HelpPageAction)
        {
            // A noun alone: show what can be done with it.
            if (result.CommandResult.Command is not Verb && result.UnmatchedTokens.Count == 0)
            {
                terminal.Error.Write(HelpPage.Of(result.CommandResult.Command, terminal.Width));
                return UsageExitCode;
            }

            string? unknownOption = UnknownOption(result);
            if (result.Errors.Count > 0 || unknownOption is not null)
            {
                return Refuse(terminal, result, unknownOption);
            }
        }

        try
        {
            int exitCode = await result.InvokeAsync(
                new InvocationConfiguration
                {
                    EnableDefaultExceptionHandler = false,
                    ProcessTerminationTimeout = null,
                },
                cancellationToken);
            // Whatever came meanwhile: a server that a signal stopped in good order has succeeded.
            await terminal.Out.FlushAsync(CancellationToken.None);
            return exitCode;
        }
        catch (BerthException e)
        {
            await FlushAsync(terminal);
            terminal.Complain(e.Message);
            return ErrorCatalog.Find(e.Code).ExitCode;
        }
        catch (OutputException e)
        {
            if (!e.IsBrokenPipe)
            {
                terminal.Complain(e.Message);
            }

            return e.ExitCode;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            terminal.Complain(e.Message);
            return ErrorCatalog.Find(ErrorCode.Internal).ExitCode;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return Interrupts.InterruptExitCode;
        }
    }

    /// <summary>Runs as the process, with its streams and signals.</summary>
    public static async Task<int> RunProcessAsync(IReadOnlyList<Command> ofServers, string[] arguments)
    {
        using Interrupts interrupts = new();
        interrupts.Listen();
        BerthRoot root = new(Terminal.OfProcess(), ofServers) { Interrupts = interrupts };
        int exitCode = await RunAsync(root, arguments, interrupts.Stop);
        return exitCode == Interrupts.InterruptExitCode && interrupts.ExitCode != 0 ? interrupts.ExitCode : exitCode;
    }

    private static async Task FlushAsync(Terminal terminal)
    {
        try
        {
            await terminal.Out.FlushAsync();
        }
        catch (OutputException)
        {
            // Nobody reads it; the refusal itself matters more.
        }
    }

    // The parser takes an option that it does not know for the value of an argument.
    internal static string? UnknownOption(ParseResult result) => result.CommandResult.Children
        .OfType<ArgumentResult>()
        .Where(a => a.Argument.Name != "args")
        .SelectMany(a => a.Tokens)
        .Select(t => t.Value)
        .Concat(result.UnmatchedTokens)
        .FirstOrDefault(t => t.Length > 1 && t.StartsWith('-'));

    private static int Refuse(Terminal terminal, ParseResult result, string? unknownOption)
    {
        Command command = result.CommandResult.Command;
        string? word = result.UnmatchedTokens is [{ } first, ..] ? first : null;
        if (word is not null && !word.StartsWith('-') && command.Subcommands.Count > 0)
        {
            terminal.Error.WriteLine(
                $"berth: there is no command '{HelpPage.PathOf(command)} {word}'.{Suggestion(command, word)}");
        }
        else if (unknownOption is not null)
        {
            terminal.Error.WriteLine(
                $"berth: '{HelpPage.PathOf(command)}' has no option '{unknownOption}'."
                + OptionSuggestion(command, unknownOption));
        }
        else
        {
            foreach (string message in result.Errors.Select(e => e.Message).Distinct())
            {
                terminal.Error.WriteLine($"berth: {message}");
            }
        }

        terminal.Error.WriteLine(
            $"Usage: {HelpPage.UsageOf(command)}\n'{HelpPage.PathOf(command)} --help' tells more.");
        return UsageExitCode;
    }

    private static string Suggestion(Command command, string word)
    {
        if (command is BerthRoot && DockerWords.AdviceOn(word) is { } advice)
        {
            return " " + advice;
        }

        return Spelling.Nearest(word, command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name)) is { } name
            ? $" Did you mean '{HelpPage.PathOf(command)} {name}'?"
            : "";
    }

    private static string OptionSuggestion(Command command, string word) =>
        Spelling.Nearest(word.Split('=')[0], command.Options.Where(o => !o.Hidden).Select(o => o.Name)) is { } name
            ? $" Did you mean '{name}'?"
            : "";
}
