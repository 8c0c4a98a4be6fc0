namespace Berth.Core.Runs;

/// <summary>
/// The state we own of one execution, call or task. Immutable: a change makes a new one, and only
/// <see cref="RunChange"/> applied by the store makes it true.
/// </summary>
/// <param name="Caller">Name of the token that asked.</param>
/// <param name="Generation">Rises with every claim and every hand-back; what an older
/// generation reports is refused.</param>
/// <param name="Attempts">Attempts begun that count against <see cref="RetryPolicy.MaxAttempts"/>. A hand-back by an
/// orderly stop doesn't.</param>
/// <param name="CancelRequested">Somebody asked for its end while an attempt was under way. Never taken back.</param>
/// <param name="ReadyAt">From when on it may be claimed: its acceptance, or the end of a retry's delay. By the steady
/// clock of <see cref="RunMoment"/>.</param>
/// <param name="ExpiresAt">When an attempt must have begun, by the steady clock; null for no limit.</param>
/// <param name="StartedAt">Start of the program in the last attempt.</param>
/// <param name="End">How the last attempt ended, with what all attempts used; null before the first end.</param>
/// <param name="Input">Null where nothing was sent or nothing is kept.</param>
/// <param name="ResultExpiresAt">When input and result are deleted; null while the run has not ended.</param>
/// <param name="LastEvent">Sequence number of the run's newest event.</param>
/// <param name="IsDeadLetter">It failed, and somebody has to decide what becomes of it: <see cref="DeadLetters"/>.
/// </param>
public sealed record Run(
    RunId Id,
    RunKind Kind,
    RunSpec Spec,
    string Caller,
    RunState State,
    int Generation,
    int Attempts,
    bool CancelRequested,
    DateTimeOffset CreatedAt,
    DateTimeOffset ReadyAt,
    DateTimeOffset? ExpiresAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? EndedAt,
    RunEnd? End,
    string? Node,
    RunTimings Timings,
    RunProgress? Progress,
    StoredBody Input,
    StoredBody Result,
    DateTimeOffset? ResultExpiresAt,
    long LastEvent,
    bool IsDeadLetter = false)
{
    /// <summary>A run as it is when it has just been accepted.</summary>
    public static Run Accepted(
        RunId id, RunKind kind, RunSpec spec, string caller, RunMoment now, StoredBody input) => new(
        id, kind, spec, caller, RunState.Queued, Generation: 0, Attempts: 0, CancelRequested: false, now.At,
        ReadyAt: now.Steady, ExpiresAt: now.Steady + spec.MaxAge, StartedAt: null, EndedAt: null, End: null, Node: null,
        RunTimings.None, Progress: null, input, StoredBody.None, ResultExpiresAt: null, LastEvent: 1);
}

/// <summary>How an attempt ended and what it used; in a run's record, what the attempts before it used too.</summary>
/// <param name="Detail">A sentence for people, or null.</param>
/// <param name="Answer">Of a program that answered over HTTP.</param>
/// <param name="RetryAfter">How long another attempt was asked to wait; not kept.</param>
public sealed record RunEnd(
    EndReason Reason, int? ExitCode, int? Signal, string? Detail, RunUsage Usage, ServiceAnswer? Answer = null,
    TimeSpan? RetryAfter = null);

/// <param name="Percent">0 to 100.</param>
public sealed record RunProgress(double Percent, string? Message);

/// <summary>Where an input or result is.</summary>
public enum BodyPlace
{
    /// <summary>There is none: nothing was sent, or no attempt left a result.</summary>
    None,

    /// <summary>In the store, written with the run's own record.</summary>
    Inline,

    /// <summary>A file of the spool.</summary>
    Spooled,

    /// <summary>Deleted at its time.</summary>
    Expired,
}

public readonly record struct StoredBody(BodyPlace Place, long Length)
{
    public static StoredBody None => default;
}

/// <summary>One thing that happened to a run, before it has its sequence number.</summary>
/// <param name="Type">One of <see cref="RunEventTypes"/>.</param>
public sealed record RunEvent(DateTimeOffset At, string Type, int Attempt, string Detail);

/// <summary>
/// Names of events on the wire. <c>accepted</c> is always number 1 and stands in the run's own record.
/// </summary>
public static class RunEventTypes
{
    public const string Accepted = "accepted";
    public const string Claimed = "claimed";
    public const string Started = "started";
    public const string Progress = "progress";
    public const string Retried = "retried";
    public const string HandedBack = "handed_back";
    public const string Preempted = "preempted";

    /// <summary>No node took it: it waits for one.</summary>
    public const string Waiting = "waiting";
    public const string Recovered = "recovered";
    public const string CancelRequested = "cancel_requested";
    public const string Ended = "ended";
    public const string Forwarded = "forwarded";
    public const string ForwardFailed = "forward_failed";
    public const string Redriven = "redriven";
    public const string Purged = "purged";
    public const string CallbackDelivered = "callback_delivered";
    public const string CallbackFailed = "callback_failed";

    /// <summary>Not stored: the last event of a stream that was cut because its reader was too slow.</summary>
    public const string Resync = "resync";
}

/// <summary>
/// A step of a run, decided but not yet true. The store applies all of it in one transaction or none.
/// </summary>
/// <param name="Next">The run afterwards.</param>
/// <param name="ExpectedGeneration">What the store must hold for the step to be applied.</param>
/// <param name="Events">What happened, oldest first; numbered on from the run's last event.</param>
public sealed record RunChange(Run Next, int ExpectedGeneration, IReadOnlyList<RunEvent> Events)
{
    /// <summary>The result where it is <see cref="BodyPlace.Inline"/>.</summary>
    public ReadOnlyMemory<byte> InlineResult { get; init; }

    /// <summary>A callback that this step owes.</summary>
    public CallbackDraft? Callback { get; init; }

    /// <summary>What it owes to the address that is its destination.</summary>
    public CallbackDraft? Notice { get; init; }

    /// <summary>Name of the function that it is to be handed on to; null for none.</summary>
    public string? Forward { get; init; }
}

/// <summary>
/// A callback to be delivered; its body is fixed now, so that every delivery is byte for byte the same.
/// </summary>
/// <param name="Due">When it is first due, by the steady clock of <see cref="RunMoment"/>.</param>
public sealed record CallbackDraft(Uri Target, ReadOnlyMemory<byte> Body, DateTimeOffset Due);
