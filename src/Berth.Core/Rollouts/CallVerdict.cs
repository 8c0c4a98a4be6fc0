using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Core.Rollouts;

/// <summary>What an ended call says about the revision that it ran.</summary>
public enum CallVerdict
{
    /// <summary>Nothing: Berth, its machine or the caller ended it, or it never had its turn.</summary>
    Nothing,

    Succeeded,

    /// <summary>The program or its image is at fault.</summary>
    Failed,
}

/// <summary>Tells whose fault an end was.</summary>
public static class CallVerdicts
{
    /// <summary>Of a call that was refused or broken off.</summary>
    public static CallVerdict Of(ErrorCode code) => code
        is ErrorCode.RunFailed or ErrorCode.RunOutOfMemory or ErrorCode.RunEntryPointMissing
        or ErrorCode.RunNotRunnable or ErrorCode.RunOutputLimit
        ? CallVerdict.Failed
        : CallVerdict.Nothing;

    public static CallVerdict Of(Run run) => run.End?.Reason switch
    {
        EndReason.Completed => CallVerdict.Succeeded,
        EndReason.ExitCode or EndReason.Signal or EndReason.OutOfMemory or EndReason.OutputLimit
            or EndReason.EntryPointMissing or EndReason.NotRunnable or EndReason.NoAnswer
            => CallVerdict.Failed,
        // As where somebody waits for the answer: what the program says of its caller is no failure of its own.
        EndReason.BadStatus => run.End is { Answer.Status: < 500 } ? CallVerdict.Succeeded : CallVerdict.Failed,
        // A deadline that passed in the queue, or before a sandbox was ready, says nothing about the program.
        EndReason.TimedOut => run.StartedAt is null ? CallVerdict.Nothing : CallVerdict.Failed,
        _ => CallVerdict.Nothing,
    };
}
