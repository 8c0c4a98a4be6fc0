using Berth.Core.Runs;

namespace Berth.Server.Store;

// Vocabulary: a write is acknowledged (its task completes) only when it is durable. A claim is the right to report on a
// run: the pair of run and generation. Every write that depends on a claim checks the generation in the statement that
// writes. Times are the caller's; the store has no clock of its own. What is due (ReadyAt, ExpiresAt, a callback) is in
// the caller's steady time, see RunMoment; time stamps and retention are in wall-clock time.

/// <summary>
/// The durable record of runs, their small bodies, their events and the callbacks they
/// owe. Implementations pass RunStoreContract.
/// </summary>
public interface IRunStore : IAsyncDisposable
{
    /// <summary>Whether new runs are accepted; the end of runs already accepted is recorded in every
    /// condition but <see cref="StoreCondition.Failing"/> and <see cref="StoreCondition.Refused"/>.</summary>
    StoreCondition Condition { get; }

    /// <summary>
    /// Makes a new run durable. The same idempotency key of the same caller gives the first run if the request is the
    /// same, else <c>IdempotencyConflict</c>. Throws <c>StorageFull</c> or <c>StorageFault</c> with RetryAfter.
    /// </summary>
    Task<RunAcceptance> AcceptAsync(NewRun run, CancellationToken cancellationToken);

    /// <summary>
    /// Records a run that has already ended: a synchronous call. A second record of the same id changes nothing.
    /// </summary>
    Task RecordAsync(Run run, CancellationToken cancellationToken);

    /// <summary>
    /// Takes queued runs that are ready: they become Starting, their generation and attempts rise by one. First those
    /// of the highest priority; among these each caller's oldest in turn, who has fewest under way first.
    /// </summary>
    Task<IReadOnlyList<ClaimedRun>> ClaimAsync(ClaimOrder order, CancellationToken cancellationToken);

    /// <summary>The highest priority among those that <see cref="ClaimAsync"/> would take now; null where it would take
    /// none.</summary>
    Task<int?> HighestWaitingAsync(DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Applies a step if the run has the expected generation and <see cref="RunTransitions"/> allows it (or the state
    /// stays). A run whose cancellation was requested does not go back to Queued. Otherwise nothing is written.
    /// </summary>
    Task<SaveOutcome> SaveAsync(RunChange change, CancellationToken cancellationToken);

    /// <summary>
    /// Makes the wish to end a run that is Starting or Running durable, with an event; a run in another state or
    /// already asked is left as it is. Returns the run afterwards, or null where there is none.
    /// </summary>
    Task<Run?> RequestCancelAsync(RunId id, RunEvent reason, CancellationToken cancellationToken);

    Task<Run?> FindAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>Newest first, as many as the limit says: bounding that is up to who asks.</summary>
    Task<IReadOnlyList<Run>> ListAsync(RunQuery query, CancellationToken cancellationToken);

    /// <summary>The ids among <paramref name="ids"/> that the store knows.</summary>
    Task<IReadOnlySet<RunId>> KnownAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken);

    /// <summary>An inline input, or null where the store holds none.</summary>
    Task<byte[]?> ReadInputAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>An inline result, or null where the store holds none.</summary>
    Task<byte[]?> ReadResultAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>Runs that are Starting or Running, by id.</summary>
    Task<IReadOnlyList<Run>> UnfinishedAsync(RunId? after, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Brings waiting runs and callbacks that are due further ahead than a delay can be (the wall clock was set back
    /// between two servers) to the longest delay after <paramref name="now"/>; a run that was never tried is ready.
    /// </summary>
    Task BoundDelaysAsync(
        DateTimeOffset now, TimeSpan longestRetry, TimeSpan longestCallback, CancellationToken cancellationToken);

    /// <summary>Queued runs whose maximum age has passed.</summary>
    Task<IReadOnlyList<Run>> OverAgeAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken);

    /// <summary>Ended runs whose bodies are due to be deleted.</summary>
    Task<IReadOnlyList<Run>> ExpiredBodiesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken);

    /// <summary>Deletes inline bodies and marks all bodies of these runs as expired.</summary>
    Task ForgetBodiesAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken);

    /// <summary>Strikes a dead letter off, with an event that says why; nothing happens where it is none. Its bodies
    /// are deleted at <paramref name="bodiesDue"/>, or sooner. Returns whether it was one.</summary>
    Task<bool> CloseDeadLetterAsync(
        RunId id, RunEvent outcome, DateTimeOffset bodiesDue, CancellationToken cancellationToken);

    /// <summary>Strikes off the dead letters whose bodies are due at <paramref name="now"/>, and the oldest of more
    /// than <paramref name="most"/>. Returns how many.</summary>
    Task<int> TrimDeadLettersAsync(DateTimeOffset now, int most, CancellationToken cancellationToken);

    /// <summary>
    /// Deletes records of runs that ended before <paramref name="endedBefore"/>, owe no callback and are no dead
    /// letters; returns their ids.
    /// </summary>
    Task<IReadOnlyList<RunId>> DeleteEndedAsync(DateTimeOffset endedBefore, int limit,
        CancellationToken cancellationToken);

    /// <summary>Stored events numbered above <paramref name="after"/>, in order.</summary>
    Task<IReadOnlyList<NumberedEvent>> EventsAsync(RunId id, long after, int limit,
        CancellationToken cancellationToken);

    /// <summary>
    /// Callbacks due at <paramref name="now"/>, the longest due first, but for those to the given hosts.
    /// </summary>
    /// <param name="except">Hosts as <see cref="Uri.IdnHost"/> tells them; a handful.</param>
    Task<IReadOnlyList<PendingCallback>> DueCallbacksAsync(
        DateTimeOffset now, IReadOnlyCollection<string> except, int limit, CancellationToken cancellationToken);

    /// <summary>Puts a callback off until <paramref name="next"/>.</summary>
    Task DeferCallbackAsync(PendingCallback callback, DateTimeOffset next, CancellationToken cancellationToken);

    /// <summary>Strikes a callback off, delivered or given up, and adds the event that says so. Returns the event's
    /// number; 0 when it was already struck off.</summary>
    Task<long> CloseCallbackAsync(PendingCallback callback, RunEvent outcome, CancellationToken cancellationToken);

    /// <summary>Runs to be handed on to functions, those accepted first.</summary>
    Task<IReadOnlyList<PendingForward>> PendingForwardsAsync(int limit, CancellationToken cancellationToken);

    /// <summary>Strikes one of them off, and adds the event that says what came of it. Returns the event's number; 0
    /// when it was already struck off.</summary>
    Task<long> CloseForwardAsync(RunId run, RunEvent outcome, CancellationToken cancellationToken);

    /// <summary>When the next queued run or callback becomes ready; null when nothing waits.</summary>
    Task<NextDue> NextDueAsync(CancellationToken cancellationToken);

    Task<RunCounts> CountAsync(CancellationToken cancellationToken);

    StoreFigures Figures();

    /// <summary>Writes a copy of the store as it is at one moment into a new file, while it is used. Throws
    /// <c>StorageFull</c> where it does not fit.</summary>
    Task CopyAsync(string path, CancellationToken cancellationToken);
}

public enum StoreCondition
{
    Accepting,

    /// <summary>The disk is full: what was accepted is finished and read, nothing new is taken.</summary>
    Full,

    /// <summary>Writing fails: the store is being reopened.</summary>
    Failing,

    /// <summary>The database wants another user or password: it is asked again.</summary>
    Refused,

    /// <summary>The disk gave back something else than was written: nothing new is taken until a restart.</summary>
    Damaged,
}

/// <param name="InlineInput">The input where it is <see cref="BodyPlace.Inline"/>.</param>
/// <param name="IdempotencyKey">Scoped to <see cref="Run.Caller"/>; null for none.</param>
/// <param name="RequestHash">What tells two requests with the same key apart; empty without a key.</param>
public sealed record NewRun(Run Run, ReadOnlyMemory<byte> InlineInput, string? IdempotencyKey,
    ReadOnlyMemory<byte> RequestHash);

/// <param name="IsNew">False when an idempotency key led to an earlier run.</param>
public sealed record RunAcceptance(Run Run, bool IsNew);

/// <param name="InlineInput">The input where the store holds it.</param>
public sealed record ClaimedRun(Run Run, byte[]? InlineInput);

/// <param name="Applied">Whether the step is now true.</param>
/// <param name="Current">The run as stored afterwards; null when there is no such run.</param>
public sealed record SaveOutcome(bool Applied, Run? Current);

/// <summary>Which runs to list; null means any.</summary>
/// <param name="Image">Matches the reference as asked for, or the digest.</param>
/// <param name="Before">Only ids smaller than this one: the cursor.</param>
public sealed record RunQuery(
    RunKind? Kind, RunState? State, string? Image, IReadOnlyDictionary<string, string> Labels, int Limit, RunId? Before)
{
    /// <summary>Most that a caller from outside gets at once.</summary>
    public const int MaxLimit = 1000;

    /// <summary>Only dead letters.</summary>
    public bool IsDeadLetter { get; init; }
}

public sealed record NumberedEvent(long Sequence, RunEvent Event);

/// <param name="Attempt">Deliveries tried before.</param>
/// <param name="FirstDue">When it was first due; decides when to give up.</param>
/// <param name="Slot">Which of the run's: <see cref="OfCaller"/> or <see cref="OfDestination"/>.</param>
public sealed record PendingCallback(
    RunId Run, Uri Target, ReadOnlyMemory<byte> Body, int Attempt, DateTimeOffset FirstDue, DateTimeOffset Due,
    int Slot = PendingCallback.OfCaller)
{
    public const int OfCaller = 0;
    public const int OfDestination = 1;
}

/// <summary>An ended run that is to become a task of another function.</summary>
public readonly record struct PendingForward(RunId Run, string Function);

/// <summary>What to claim.</summary>
/// <param name="Limit">So many at most.</param>
/// <param name="Now">Steady time at which they have to be ready.</param>
public sealed record ClaimOrder(int Limit, DateTimeOffset Now)
{
    /// <summary>How many runs each caller has under way already; who is not named has none.</summary>
    public IReadOnlyDictionary<string, int> UnderWay { get; init; } = new Dictionary<string, int>();
}

public readonly record struct NextDue(DateTimeOffset? Run, DateTimeOffset? Callback);

/// <param name="OldestQueued">When the longest waiting ready run was accepted.</param>
public sealed record RunCounts(long Queued, long Starting, long Running, long Callbacks, DateTimeOffset? OldestQueued);

/// <param name="Commits">Transactions made durable.</param>
/// <param name="Writes">Records written by them.</param>
/// <param name="Waiting">Writes waiting for their commit now.</param>
/// <param name="Refused">Writes refused because the disk was full or failing.</param>
/// <param name="Reopened">How often the store was reopened after a failed write.</param>
public sealed record StoreFigures(long Commits, long Writes, int Waiting, long Refused, long Reopened, long Bytes);
