using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>
/// A synchronous call whose program runs. Whoever holds it copies the body into <see cref="Input"/> (and disposes that:
/// end of file) while reading <see cref="Output"/> to its end, then awaits <see cref="Completion"/>. Disposing it
/// earlier ends the program as <see cref="EndReason.ClientGone"/>.
/// </summary>
public sealed class LiveCall : IAsyncDisposable
{
    private readonly IAttempt attempt;
    private readonly OutputLimitStream output;
    private readonly ErrorStreamCopy errors;
    private readonly TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long accepted;
    private readonly TimeProvider time;
    private readonly Action ended;
    private readonly Func<RunEnd, TimeSpan, Run> finish;

    /// <param name="accepted">The time stamp of its arrival.</param>
    /// <param name="ended">Called once the program is gone.</param>
    /// <param name="finish">Closes the books: called once with the end and the time the program ran.</param>
    internal LiveCall(
        RunSpec spec, IAttempt attempt, ErrorStreamCopy errors, long accepted, TimeProvider time, Action ended,
        Func<RunEnd, TimeSpan, Run> finish)
    {
        this.attempt = attempt;
        this.errors = errors;
        this.accepted = accepted;
        this.time = time;
        this.ended = ended;
        this.finish = finish;
        Spec = spec;
        output = new OutputLimitStream(attempt.Output, spec.OutputLimit, () => Stop(EndReason.OutputLimit));
        Completion = FinishAsync();
    }

    public RunId Id => attempt.Spec.Run;

    public RunSpec Spec { get; }

    /// <summary>Until the call's one deadline, when its program is ended; negative once that has passed.</summary>
    public TimeSpan TimeLeft => Spec.Timeout - time.GetElapsedTime(accepted);

    public AttemptPreparation Preparation => attempt.Preparation;

    /// <summary>The program's standard input. Writing after the program closed it throws IOException.</summary>
    public Stream Input => attempt.Input;

    /// <summary>The program's standard output, up to the limit of the call.</summary>
    public Stream Output => output;

    /// <summary>
    /// The ended run, with usage and times. Completes when the program and all it started are gone, its standard
    /// error was read and, where it succeeded, its output was read to the end or the limit: only then it is
    /// known which. Never faults.
    /// </summary>
    public Task<Run> Completion { get; }

    /// <summary>The last 4 KiB of standard error so far; whole once <see cref="Completion"/> has completed.</summary>
    public string ErrorTail => errors.Tail;

    /// <summary>Ends the program, with the call's grace unless it broke a limit or a stopping server has waited long
    /// enough. Returns at once.</summary>
    public void Stop(EndReason reason)
    {
        stopped.TrySetResult();
        bool atOnce = reason is EndReason.OutputLimit or EndReason.PlatformFault;
        attempt.Stop(reason, atOnce ? TimeSpan.Zero : Spec.Grace);
    }

    public async ValueTask DisposeAsync()
    {
        if (!Completion.IsCompleted)
        {
            Stop(EndReason.ClientGone);
        }

        // Ended or not, its output is not read any further.
        stopped.TrySetResult();
        await Completion;
        await attempt.DisposeAsync();
    }

    private async Task<Run> FinishAsync()
    {
        AttemptReport report = await attempt.Completion;
        ended();
        await errors.Completion;
        if (report.Reason == EndReason.Completed)
        {
            await Task.WhenAny(output.Finished, stopped.Task);
        }

        RunEnd end = new(report.Reason, report.ExitCode, report.Signal, report.Detail, report.Usage);
        // A program may end by itself while its last bytes, over the limit, are still to be read.
        if (output.Passed && report.Reason != EndReason.OutputLimit)
        {
            end = end with { Reason = EndReason.OutputLimit, Detail = RunSentences.OutputLimit(Spec.OutputLimit) };
        }

        return finish(end, report.RunTime);
    }
}
