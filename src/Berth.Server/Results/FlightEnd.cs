using Berth.Core.Runs;
using Berth.Server.Runs;

namespace Berth.Server.Results;

/// <summary>What became of an execution that callers wait for.</summary>
internal abstract record FlightEnd
{
    private FlightEnd()
    {
    }

    /// <summary>It succeeded, and all of its output is held.</summary>
    internal sealed record Result(KeptResult Kept, Run Run) : FlightEnd;

    /// <summary>It ran and failed.</summary>
    internal sealed record Failure(Run Run, string ErrorTail) : FlightEnd
    {
        /// <summary>Whether an equal call would fail likewise: neither the platform nor somebody's wish or shorter time
        /// ended it.</summary>
        public bool IsOfProgram => Run.End!.Reason is EndReason.ExitCode or EndReason.Signal or EndReason.OutOfMemory
            or EndReason.OutputLimit or EndReason.EntryPointMissing or EndReason.NotRunnable;
    }

    /// <summary>It was not begun: no place, a server that stops, or nobody there any more.</summary>
    internal sealed record Refusal(Exception Error) : FlightEnd;

    /// <summary>Its output is more than is held, and an equal call's will be as well: it is the first caller's alone.
    /// </summary>
    /// <param name="Held">What came first.</param>
    /// <param name="Next">What came then, before what is still to be read of the call.</param>
    internal sealed record Large(LiveCall Call, HeldBytes Held, ReadOnlyMemory<byte> Next) : FlightEnd;
}
