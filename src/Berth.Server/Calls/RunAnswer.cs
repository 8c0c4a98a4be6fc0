using System.Globalization;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Problems;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// How an ended run is told to the caller who waited for it: the usage headers, and the problem of a failure.
/// </summary>
internal static class RunAnswer
{
    public const string RunId = "Berth-Run-Id";
    public const string ExitCode = "Berth-Exit-Code";
    public const string Reason = "Berth-Reason";
    public const string CpuMs = "Berth-Cpu-Ms";
    public const string Revision = "Berth-Revision";
    public const string MemoryBytes = "Berth-Memory-Bytes";
    public const string DurationMs = "Berth-Duration-Ms";

    /// <summary>The trailers, for the header <c>Trailer</c>.</summary>
    public const string TrailerNames = $"{ExitCode}, {Reason}, {CpuMs}, {MemoryBytes}, {DurationMs}";

    /// <summary>Puts exit code and usage into headers or trailers.</summary>
    public static void Describe(IHeaderDictionary headers, Run run)
    {
        if (run.End is not { } end)
        {
            return;
        }

        if (end.ExitCode is { } code)
        {
            headers[ExitCode] = code.ToString(CultureInfo.InvariantCulture);
        }

        headers[Reason] = NameOf(end.Reason);
        headers[CpuMs] = Milliseconds(end.Usage.CpuUser + end.Usage.CpuSystem);
        headers[MemoryBytes] = end.Usage.PeakMemory.Bytes.ToString(CultureInfo.InvariantCulture);
        headers[DurationMs] = Milliseconds(run.Timings.Total);
    }

    /// <summary>Answers with the problem of a run that did not succeed.</summary>
    /// <param name="errorTail">The end of its standard error; empty when there is none.</param>
    public static Task RefuseAsync(HttpContext context, Run run, RunView view, string errorTail)
    {
        RunEnd end = run.End ?? throw new InvalidOperationException($"Run {run.Id} has not ended.");
        Describe(context.Response.Headers, run);
        if (end.Reason == EndReason.PlatformFault)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        Problem problem = ProblemWriter.Describe(CodeOf(end.Reason), end.Detail ?? Sentence(run, end)) with
        {
            RunId = run.Id.Text,
            ExitCode = end.ExitCode,
            Stderr = errorTail.Length == 0 ? null : errorTail,
            Usage = view.Usage,
        };
        return ProblemWriter.WriteAsync(context, problem);
    }

    public static ErrorCode CodeOf(EndReason reason) => reason switch
    {
        EndReason.ExitCode or EndReason.Signal or EndReason.NoAnswer or EndReason.BadStatus => ErrorCode.RunFailed,
        EndReason.OutOfMemory => ErrorCode.RunOutOfMemory,
        EndReason.TimedOut or EndReason.Expired => ErrorCode.RunTimedOut,
        EndReason.OutputLimit => ErrorCode.RunOutputLimit,
        EndReason.EntryPointMissing => ErrorCode.RunEntryPointMissing,
        EndReason.NotRunnable => ErrorCode.RunNotRunnable,
        EndReason.Canceled or EndReason.ClientGone => ErrorCode.RunCanceled,
        EndReason.PlatformFault => ErrorCode.NodeFault,
        _ => throw new InvalidOperationException($"A run that ended with {reason} is no failure."),
    };

    /// <summary>The reason on the wire, snake case.</summary>
    public static string NameOf(EndReason reason) => reason switch
    {
        EndReason.Completed => "completed",
        EndReason.ExitCode => "exit_code",
        EndReason.Signal => "signal",
        EndReason.OutOfMemory => "out_of_memory",
        EndReason.TimedOut => "timed_out",
        EndReason.OutputLimit => "output_limit",
        EndReason.EntryPointMissing => "entry_point_missing",
        EndReason.NotRunnable => "not_runnable",
        EndReason.Canceled => "canceled",
        EndReason.ClientGone => "client_gone",
        EndReason.Expired => "expired",
        EndReason.PlatformFault => "platform_fault",
        EndReason.NoAnswer => "no_answer",
        EndReason.BadStatus => "bad_status",
        _ => throw new InvalidOperationException($"{reason} has no name on the wire."),
    };

    private static string Sentence(Run run, RunEnd end) => end.Reason switch
    {
        EndReason.ExitCode => $"{run.Spec.Image} exited with code {end.ExitCode}.",
        EndReason.Signal => $"{run.Spec.Image} was ended by signal {end.Signal}.",
        EndReason.TimedOut => $"{run.Spec.Image} did not end within its time; {OptionHeaders.Timeout} asks for more.",
        EndReason.OutOfMemory =>
            $"{run.Spec.Image} needed more memory than {run.Spec.Limits.Memory}; "
            + $"{OptionHeaders.Memory} asks for more.",
        EndReason.Canceled => $"Run {run.Id} was cancelled.",
        _ => $"Run {run.Id} of {run.Spec.Image} ended: {NameOf(end.Reason)}.",
    };

    private static string Milliseconds(TimeSpan span) =>
        span.TotalMilliseconds.ToString("0.###", CultureInfo.InvariantCulture);
}
