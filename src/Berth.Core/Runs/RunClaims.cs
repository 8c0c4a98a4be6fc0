namespace Berth.Core.Runs;

/// <summary>How a run is taken, and what of a claim's reports a store may believe: the rule that every store keeps in
/// the statement that writes.</summary>
public static class RunClaims
{
    /// <summary>Takes a run that is queued and ready: a new generation, and one more attempt. Who takes it tells the
    /// event, with how long it waited.</summary>
    public static RunChange Claim(Run run) => new(
        run with { State = RunState.Starting, Generation = run.Generation + 1, Attempts = run.Attempts + 1 },
        run.Generation, []);

    /// <summary>Whether a run may be claimed.</summary>
    public static bool IsReady(Run run, RunMoment now) => run.State == RunState.Queued && run.ReadyAt <= now.Steady;

    /// <summary>Whether a step comes in time: it is of the generation that the store holds, and the state that it leads
    /// to is a legal one from there. A run that somebody asked to end does not go back to the queue.</summary>
    public static bool Admits(Run stored, RunChange change) =>
        stored.Generation == change.ExpectedGeneration
        && !stored.State.IsTerminal()
        && (stored.State == change.Next.State || RunTransitions.IsLegal(stored.State, change.Next.State))
        && !(stored.CancelRequested && change.Next.State == RunState.Queued);
}
