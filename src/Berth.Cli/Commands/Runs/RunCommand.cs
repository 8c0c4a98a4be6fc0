using System.CommandLine;
using Berth.Api.Client;
using Berth.Api.Errors;
using Berth.Cli.Output;
using Berth.Cli.Terminals;
using Berth.Core.Errors;

namespace Berth.Cli.Commands.Runs;

/// <summary>
/// <c>berth run</c>: standard input to the program, its standard output back, its exit code passed on. Nothing is held
/// in memory on the way.
/// </summary>
internal sealed class RunCommand : Verb
{
    /// <summary>Pipes carry 64 KiB at once by default; more only costs memory.</summary>
    private const int CopyBuffer = 64 * 1024;

    private readonly RunSettings settings = new();
    private readonly Option<bool> interactive = new("--interactive", "-i")
    {
        Description = "Pass on what is typed (end it with Ctrl-D); redirected input is always passed on",
    };

    private readonly Option<bool> remove = new("--rm")
    {
        Description = "Changes nothing: what a run leaves in its container is always removed",
    };

    private readonly QuietOption quiet = new("Do not print the program's standard error and why it failed");

    public RunCommand()
        : base(
            "run", "Run an image once and wait: standard input goes in, standard output comes out",
            new("berth run demo/thumbnail 400 < photo.jpg > thumbnail.jpg", "Send a file through a program"),
            new(
                "berth run -e LEVEL=9 --memory 512Mi --timeout 2m tools/compress --best < in > out",
                "With limits and a variable"),
            new("berth run --entrypoint /bin/sh demo/thumbnail -c 'id; env'", "Look around inside an image"))
    {
        Add(interactive);
        Add(quiet);
        Add(remove);
        ForeignOptions.AddTo(this);
        settings.AddTo(this);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        bool reads = !terminal.InputIsTerminal || session.Get(interactive);
        await using Stream? input = reads ? terminal.OpenInput() : null;
        bool tells = !session.Get(quiet);
        RunOptions options = settings.Read(session) with
        {
            // Its errors are followed by its id.
            Answer = tells ? AnswerStart.Program : AnswerStart.FirstByte,
        };
        await using Call call = await session.Client.Runs.CallAsync(
            settings.Image(session), options, input, cancellationToken);
        await using ErrorFollower? errors = tells ? new ErrorFollower(session, call.RunId, cancellationToken) : null;
        try
        {
            await call.Output.CopyToAsync(terminal.Output, CopyBuffer, cancellationToken);
        }
        catch (IOException)
        {
            // The answer broke off; the outcome says why.
        }

        CallOutcome outcome = await call.CompleteAsync(cancellationToken);
        if (errors is not null)
        {
            await errors.FinishAsync(outcome.Problem?.Stderr, cancellationToken);
            await TellAsync(session, outcome);
        }

        return ExitCodeOf(outcome);
    }

    internal static int ExitCodeOf(CallOutcome outcome) => outcome switch
    {
        { Succeeded: true } => 0,
        { ExitCode: > 0 and < 256, Reason: "exit_code" or "run_failed" or "signal" } => outcome.ExitCode.Value,
        { Problem: not null } => ErrorCatalog.Find(outcome.Problem.Code).ExitCode,
        _ => ErrorCatalog.Find(ErrorCode.RunFailed).ExitCode,
    };

    private static async Task TellAsync(Session session, CallOutcome outcome)
    {
        TextWriter error = session.Terminal.Error;
        if (outcome.Problem is { } problem)
        {
            await error.WriteLineAsync($"berth: {problem.Detail} ('berth why {outcome.RunId}' tells more)");
        }

        if (session.Verbose)
        {
            await error.WriteLineAsync(
                $"Run {outcome.RunId}: {outcome.Reason}, {Wording.Milliseconds(outcome.DurationMs)}, "
                + $"CPU {Wording.Milliseconds(outcome.CpuMs)}, memory {Wording.Bytes(outcome.PeakMemoryBytes)}");
        }
    }
}
