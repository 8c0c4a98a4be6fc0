using System.CommandLine;
using System.Security.Cryptography;
using Berth.Api.Client;
using Berth.Api.Runs;
using Berth.Commands.Runs;
using Berth.Core.Resources;

namespace Berth.Commands.Functions;

/// <summary><c>berth function invoke</c>.</summary>
internal sealed class InvokeCommand : Verb
{
    private readonly Argument<string> function = new("function")
    {
        Description = "Name of the function; NAME@REVISION or NAME@TAG for one revision of it",
    };

    private readonly Argument<string[]> arguments = new("args")
    {
        Description = "Arguments behind the function's own, where it takes some; "
            + "everything after FUNCTION is passed on",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<bool> later = new("--async")
    {
        Description = "Don't wait: hand it in as a task and print its id",
    };

    private readonly Option<bool> interactive = new("--interactive", "-i")
    {
        Description = "Pass on what is typed (end it with Ctrl-D); redirected input is always passed on",
    };

    private readonly Option<string?> timeout = new("--timeout")
    {
        HelpName = "TIME",
        Description = "End the call after this time, which is sooner than the function's own",
    };

    private readonly QuietOption quiet = new("Do not print the program's standard error and why it failed");

    public InvokeCommand()
        : base(
            "invoke", "Call a function: standard input goes in, standard output comes out",
            new("berth function invoke thumbnail < photo.jpg > thumbnail.jpg", "And wait"),
            new("berth function invoke thumbnail@3 200 < photo.jpg > thumbnail.jpg", "One revision, with an argument"),
            new("id=$(berth function invoke --async thumbnail < photo.jpg) && berth task wait $id", "Later"))
    {
        Add(later);
        Add(interactive);
        Add(timeout);
        Add(quiet);
        Add(function);
        Add(arguments);
    }

    protected override Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunOptions options = new()
        {
            Arguments = session.Get(arguments),
            Timeout = RunSettings.Parse(session, timeout, Duration.Parse),
        };
        return session.Get(later)
            ? SubmitAsync(session, options, cancellationToken)
            : Conversation.RunAsync(
                session, session.Get(interactive), session.Get(quiet),
                (answer, input) => session.Client.Functions.CallAsync(
                    session.Get(function), options with { Answer = answer }, input, cancellationToken),
                cancellationToken);
    }

    private async Task<int> SubmitAsync(Session session, RunOptions options, CancellationToken cancellationToken)
    {
        bool reads = !session.Terminal.InputIsTerminal || session.Get(interactive);
        await using Stream? input = reads ? session.Terminal.OpenInput() : null;
        RunView run = await session.Client.Functions.SubmitAsync(
            session.Get(function),
            options with { IdempotencyKey = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)) },
            input, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(run.Id);
        return 0;
    }
}
