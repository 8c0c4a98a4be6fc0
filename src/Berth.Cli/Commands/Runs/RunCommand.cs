using System.CommandLine;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Errors;
using Berth.Cli.Commands.Containers;
using Berth.Cli.Output;
using Berth.Cli.Terminals;
using Berth.Core.Errors;

namespace Berth.Cli.Commands.Runs;

/// <summary>
/// <c>berth run</c>: standard input to the program, its standard output back, its exit code passed on. Nothing is held
/// in memory on the way. A call where that is enough; a container where it is to have a name, a terminal, mounts, or to
/// be left alone.
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
        Description = "Remove the container once it has ended; without a name, a terminal, mounts or -d it always is",
    };

    private readonly Option<bool> detach = new("--detach", "-d")
    {
        Description = "Don't wait: print the container's id and leave it running",
    };

    private readonly ContainerSettings container = new();
    private readonly DetachKeysOption keys = new();

    private readonly QuietOption quiet = new("Do not print the program's standard error and why it failed");

    public RunCommand()
        : base(
            "run", "Run an image once and wait: standard input goes in, standard output comes out",
            new("berth run demo/thumbnail 400 < photo.jpg > thumbnail.jpg", "Send a file through a program"),
            new(
                "berth run -e LEVEL=9 --memory 512Mi --timeout 2m tools/compress --best < in > out",
                "With limits and a variable"),
            new("berth run -it --rm --entrypoint /bin/sh demo/thumbnail", "Look around inside an image"),
            new("berth run -d --name web --restart always -v pages:/srv demo/web", "Leave a service running"))
    {
        Add(interactive);
        Add(quiet);
        Add(remove);
        Add(detach);
        container.AddTo(this);
        Add(keys);
        ForeignOptions.AddTo(this);
        settings.AddTo(this);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        return session.Get(detach) || container.IsAsked(session)
            ? await RunContainerAsync(session, cancellationToken)
            : await CallAsync(session, cancellationToken);
    }

    internal static int ExitCodeOf(CallOutcome outcome) => outcome switch
    {
        { Succeeded: true } => 0,
        { ExitCode: > 0 and < 256, Reason: "exit_code" or "run_failed" or "signal" } => outcome.ExitCode.Value,
        { Problem: not null } => ErrorCatalog.Find(outcome.Problem.Code).ExitCode,
        _ => ErrorCatalog.Find(ErrorCode.RunFailed).ExitCode,
    };

    /// <summary>With a name, a terminal, mounts or for long: a container.</summary>
    private Task<int> RunContainerAsync(Session session, CancellationToken cancellationToken)
    {
        bool detached = session.Get(detach);
        bool atTerminal = container.Terminal(session);
        // As without a container, what is piped in goes to the program; docker needs -i for that.
        bool input = session.Get(interactive) || (!detached && !atTerminal && !session.Terminal.InputIsTerminal);
        ContainerRequest request = container.Read(session, settings, input, session.Get(remove));
        return detached
            ? ContainerRuns.DetachedAsync(session, request, cancellationToken)
            : ContainerRuns.AttachedAsync(session, request, input, keys.Read(session), cancellationToken);
    }

    /// <summary>One program, once: nothing of it stays.</summary>
    private async Task<int> CallAsync(Session session, CancellationToken cancellationToken)
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
