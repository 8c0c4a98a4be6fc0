using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Core.Runs;

/// <summary>The words in which <c>berth why</c>, events and messages tell what happened: sentences with amounts, and
/// with the knob where there is one.</summary>
public static class RunSentences
{
    public static string Accepted(Run run) =>
        $"Accepted from {run.Caller}: {run.Spec.Image} ({run.Spec.Digest.Short}), "
        // A call's input has only begun to arrive.
        + (run.Kind == RunKind.Task ? $"{Size(run.Input.Length)} of input, " : "")
        + (run.Spec.Timeout == RunSpec.Unlimited ? "no limit of time." : $"{Span(run.Spec.Timeout)} allowed.");

    /// <param name="taken">Places in use when the wait ended, of <paramref name="places"/>.</param>
    public static string Claimed(TimeSpan waited, int taken, int places) => waited < TimeSpan.FromMilliseconds(5)
        ? $"Taken up after {Span(waited)}."
        : $"Taken up after {Span(waited)}: {taken} of {places} places were in use.";

    public static string Started(TimeSpan prepare, TimeSpan start, bool prepared) => prepared
        ? $"The program runs: the sandbox was prepared ahead, {Span(prepare + start)} to start."
        : $"The program runs: no sandbox was ready, {Span(prepare)} to prepare one and {Span(start)} to start.";

    /// <summary>No program runs: the result is that of an equal run.</summary>
    public static string Answered(RunId equal) =>
        $"Answered with the result of run {equal}, which was asked for the same.";

    /// <summary>An instance of a function got the call.</summary>
    public static string Taken(string instance, TimeSpan waited) =>
        $"Instance {instance} has the call: it waited {Span(waited)} for it.";

    /// <param name="end">Of its last attempt, which may not be the run's yet.</param>
    public static string Ended(Run run, RunEnd end) => run.Spec.Service is null
        ? Ended(end, run.Spec.Limits, run.Timings.Run)
        : end.Reason == EndReason.Completed
            ? $"The program answered {end.Answer?.Status} after {Span(run.Timings.Run)}, "
                + $"with {Size(end.Usage.BytesOut)}."
            : With($"{Reason(end.Reason)} after {Span(run.Timings.Run)}.", end.Detail);

    public static string Ended(RunEnd end, SandboxLimits limits, TimeSpan ran)
    {
        RunUsage usage = end.Usage;
        string used =
            $"after {Span(ran)}, with {Span(usage.CpuUser + usage.CpuSystem)} of CPU time and {usage.PeakMemory} at "
            + "peak";
        return end.Reason switch
        {
            EndReason.Completed => $"The program ended with exit code 0 {used}.",
            EndReason.ExitCode => $"The program ended with exit code {end.ExitCode} {used}.",
            EndReason.Signal => $"The program was ended by signal {end.Signal} {used}.",
            EndReason.OutOfMemory =>
                $"The program was killed at its memory limit of {limits.Memory}, {used}: raise --memory.",
            _ => With($"{Reason(end.Reason)} {used}.", end.Detail),
        };
    }

    /// <summary>An end before any program ran.</summary>
    public static string EndedEarly(EndReason reason, string? detail) => With(Reason(reason) + ".", detail);

    public static string Retried(RunEnd end, int attempt, int maxAttempts, TimeSpan delay) =>
        With($"Attempt {attempt} of {maxAttempts} failed ({Word(end.Reason)}); the next begins in {Span(delay)} at "
            + "the earliest.", end.Detail);

    public static string HandedBack =>
        "The server is stopping: the run waits again and is begun anew by the next server.";

    /// <param name="cause">What it was ended for; null where that was not decided yet.</param>
    public static string Preempted(int priority, (RunId Run, string Node)? cause)
    {
        string gives = string.Create(CultureInfo.InvariantCulture, $"its priority of {priority} gives way");
        return "Ended because "
            + (cause is { } known
                ? $"run {known.Run}, to which {gives}, needs its room on node {known.Node}."
                : $"others wait for its place, to whom {gives}.")
            + " It waits again; this attempt does not count.";
    }

    public static string Recovered(int attempt, int maxAttempts) =>
        $"Attempt {attempt} of {maxAttempts} was cut off by the end of the server; the run waits for another.";

    public static string Poisoned(int attempts) =>
        $"{attempts} attempts were cut off by the end of the server, which makes this run suspect: it is not tried "
        + "again. "
        + "Submit it again, or allow more with Berth-Attempts.";

    /// <summary>Of a container's program.</summary>
    public static string LostWithServer => "The server ended while its program ran, and the program with it.";

    public static string Expired(TimeSpan maxAge) =>
        $"It waited longer than its maximum age of {Span(maxAge)}: raise Berth-Max-Age or add places.";

    public static string OutputLimit(ByteSize limit) =>
        $"It wrote more than {limit} to standard output and was ended: raise --output-limit.";

    public static string NoReport(TimeSpan slack) =>
        $"The node did not say how the attempt ended, {Span(slack)} after its deadline.";

    public static string Unexpected =>
        "The server failed in a way it did not expect; its log has the cause under this run's id.";

    /// <summary>A reason as the wire writes it: <c>out_of_memory</c>.</summary>
    public static string Word(EndReason reason) =>
        string.Concat(reason.ToString().Select(
            (c, i) => (i > 0 && char.IsUpper(c) ? "_" : "") + char.ToLowerInvariant(c)));

    public static string Size(long bytes) => ByteSize.FromBytes(bytes).ToString();

    /// <summary>A span of time as people say it: <c>0.8 ms</c>, <c>3.2 s</c>, <c>15 min</c>, <c>24 h</c>.</summary>
    public static string Span(TimeSpan span) => span switch
    {
        { TotalMilliseconds: < 10 } => Number(span.TotalMilliseconds, "0.#") + " ms",
        { TotalSeconds: < 1 } => Number(span.TotalMilliseconds, "0") + " ms",
        { TotalSeconds: < 120 } => Number(span.TotalSeconds, "0.#") + " s",
        { TotalMinutes: < 120 } => Number(span.TotalMinutes, "0.#") + " min",
        _ => Number(span.TotalHours, "0.#") + " h",
    };

    private static string Reason(EndReason reason) => reason switch
    {
        EndReason.TimedOut => "The program was ended at its deadline",
        EndReason.OutputLimit => "The program was ended at its output limit",
        EndReason.EntryPointMissing => "The command can't be executed",
        EndReason.Canceled => "Cancelled",
        EndReason.ClientGone => "Ended because the caller went away",
        EndReason.Expired => "Too old to be begun",
        EndReason.NotRunnable => "The image can't be run as asked",
        EndReason.PlatformFault => "Berth or its machine failed",
        EndReason.NoAnswer => "The program gave no whole answer",
        EndReason.BadStatus => "The program refused the call",
        _ => "Ended: " + Word(reason),
    };

    private static string With(string sentence, string? detail) =>
        string.IsNullOrEmpty(detail) ? sentence : $"{sentence} {detail}";

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
