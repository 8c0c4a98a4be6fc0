using Berth.Api.Client;
using Berth.Api.Errors;
using Berth.Commands.Output;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Runs;

/// <summary>A synchronous call at the command line: standard input goes in, its output comes out, what it writes to
/// standard error is followed, and its end is the exit code.</summary>
internal static class Conversation
{
    /// <summary>Pipes carry 64 KiB at once by default; more only costs memory.</summary>
    private const int CopyBuffer = 64 * 1024;

    /// <param name="interactive">What is typed is input too; redirected input always is.</param>
    /// <param name="quiet">Standard error and why it failed are not printed.</param>
    /// <param name="begin">Begins the call.</param>
    public static async Task<int> RunAsync(
        Session session, bool interactive, bool quiet, Func<AnswerStart, Stream?, Task<Call>> begin,
        CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        bool reads = !terminal.InputIsTerminal || interactive;
        await using Stream? input = reads ? terminal.OpenInput() : null;
        // Its errors are followed by its id, which a request to an instance does not have.
        await using Call call = await begin(quiet ? AnswerStart.FirstByte : AnswerStart.Program, input);
        await using ErrorFollower? errors = quiet || call.RunId.Length == 0
            ? null
            : new ErrorFollower(session, call.RunId, cancellationToken);
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
