using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// All that can be asked of runs: the one door for the HTTP interface. Whoever calls has checked the token; what comes
/// in is checked here (limits, callback address) and refused with BerthException.
/// </summary>
public interface IRunManager
{
    /// <summary>
    /// Accepts a task: reads <paramref name="input"/> to its end and returns once the
    /// run is on disk. Throws <c>QueueFull</c>, <c>StorageFull</c>, <c>ShuttingDown</c>,
    /// <c>CallbackForbidden</c>, <c>BodyTooLarge</c>, <c>IdempotencyConflict</c>.
    /// </summary>
    Task<RunAcceptance> SubmitAsync(RunSubmission submission, Stream input, CancellationToken cancellationToken);

    /// <summary>
    /// Begins a synchronous call: waits for a place, readies a sandbox and starts the program. The caller copies the
    /// streams, awaits <see cref="LiveCall.Completion"/> and disposes the call. Throws <c>QueueFull</c>,
    /// <c>RunTimedOut</c> (no place in time), <c>NodeFault</c>, <c>ImageNotFound</c>, <c>ShuttingDown</c>.
    /// </summary>
    /// <param name="own">Places of its kind, of which it needs one beside the server's; null for none.</param>
    Task<LiveCall> CallAsync(RunSpec spec, string caller, RunPlaces? own, CancellationToken cancellationToken);

    /// <summary>The same with what has come of the input.</summary>
    Task<LiveCall> CallAsync(
        RunSpec spec, string caller, RunPlaces? own, IInputAhead? ahead, CancellationToken cancellationToken);

    /// <summary>The run with its newest progress; throws <c>RunNotFound</c>.</summary>
    Task<Run> GetAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>Newest first; calls under way are among them.</summary>
    Task<RunList> ListAsync(RunQuery query, CancellationToken cancellationToken);

    /// <summary>
    /// Asks for a run's end and returns the run as it is then: a waiting one is Canceled at once, one under way a
    /// little later. Cancelling an ended run changes nothing. The wish survives a crash.
    /// </summary>
    Task<Run> CancelAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>Returns the run once it has ended, or as it is when <paramref name="limit"/> has passed.</summary>
    Task<Run> WaitAsync(RunId id, TimeSpan limit, CancellationToken cancellationToken);

    /// <summary>
    /// The run's events numbered above <paramref name="after"/>, then new ones as they come, until it has ended. Last
    /// is a <c>resync</c> event (with the number of the last event delivered) where the reader was too slow.
    /// </summary>
    IAsyncEnumerable<RunEventView> EventsAsync(RunId id, long after, CancellationToken cancellationToken);

    /// <summary>
    /// Events of all runs from now on. Ends with a <c>resync</c> event where the reader was too slow.
    /// </summary>
    IAsyncEnumerable<RunEventView> AllEventsAsync(CancellationToken cancellationToken);

    /// <summary>What happened to the run, in order, each a sentence with its reason.</summary>
    Task<RunWhy> WhyAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>
    /// A task's result. Throws <c>Conflict</c> while it has not ended or left none, <c>ResultExpired</c>.
    /// </summary>
    Task<RunContent> ResultAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>
    /// A task's input. Throws <c>ResultExpired</c>; <c>NotFound</c> for calls, whose input isn't kept.
    /// </summary>
    Task<RunContent> InputAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>
    /// Lines of standard error. With <see cref="LogQuery.Follow"/> it goes on until the run has ended.
    /// </summary>
    IAsyncEnumerable<LogLine> LogsAsync(RunId id, LogQuery query, CancellationToken cancellationToken);

    /// <summary>How a run is told to the outside.</summary>
    RunView View(Run run);

    RunStatistics Statistics();
}

/// <param name="IdempotencyKey">At most 255 characters; null for none.</param>
/// <param name="Asked">What makes two submissions with one key the same; null where it is the specification itself.
/// </param>
public sealed record RunSubmission(RunSpec Spec, string Caller, string? IdempotencyKey, RunSpec? Asked = null);

/// <param name="Next">Cursor for the next page: the last id of this one; null on the last.</param>
public sealed record RunList(IReadOnlyList<Run> Runs, RunId? Next);

/// <summary>An input or result to be read. The stream can seek and belongs to the caller.</summary>
public sealed record RunContent(Run Run, Stream Stream, long Length, string ContentType);

/// <summary>Counts since the server started, and what is under way now.</summary>
/// <param name="Running">Places taken, by calls and tasks.</param>
/// <param name="WaitingCalls">Calls waiting for a place.</param>
/// <param name="Ended">Ended runs by kind and reason.</param>
/// <param name="LostRecords">Calls whose record could not be kept because the store was failing.</param>
public sealed record RunStatistics(
    int Running, int Places, int WaitingCalls, long Queued, long Submitted, long Refused, long Retried, long Preempted,
    IReadOnlyDictionary<(RunKind Kind, EndReason Reason), long> Ended, long LostRecords, long CallbacksDelivered,
    long CallbacksGivenUp);

/// <summary>Told of every ended run, for metrics. Called on the way of the run: must be quick and not throw.</summary>
public interface IRunObserver
{
    void Ended(Run run);
}
