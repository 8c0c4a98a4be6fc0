namespace Berth.Core.Runs;

/// <summary>Which failed tasks are dead letters: somebody has to decide what becomes of them, because nobody waited for
/// them and nothing tries them again.</summary>
public static class DeadLetters
{
    /// <summary>Kept at most; the oldest are let go first.</summary>
    public const int Most = 10_000;

    /// <param name="ofFunction">Whether it is a call of a function. Any failure of one counts; of other tasks those
    /// whose attempts or whose time ran out: what their program says of its input is for who sent it.</param>
    public static bool Holds(Run run, bool ofFunction) =>
        run is { Kind: RunKind.Task, State: RunState.Failed, End: { } end }
        && (ofFunction || end.Reason == EndReason.Expired || run.Spec.Retry.Retries(end));

    /// <summary>The step with what it makes of a run: a dead letter's input and result are kept for longer.</summary>
    /// <param name="retention">Of dead letters, from the end on.</param>
    public static RunChange Mark(RunChange change, bool ofFunction, TimeSpan retention)
    {
        Run next = change.Next;
        if (!Holds(next, ofFunction) || next.EndedAt is not { } ended)
        {
            return change;
        }

        DateTimeOffset until = ended + retention;
        return change with
        {
            Next = next with
            {
                IsDeadLetter = true,
                ResultExpiresAt = until > next.ResultExpiresAt ? until : next.ResultExpiresAt,
            },
        };
    }
}
