using Berth.Core.Functions;
using Berth.Core.Rollouts;

namespace Berth.Server.Rollouts;

/// <summary>The window of time in which one step is judged: begins with the step, and anew when the server starts, as
/// counts are kept in memory.</summary>
internal sealed class RolloutWatch
{
    private readonly RevisionMeters meters;
    private readonly TimeProvider time;
    private readonly string function;
    private readonly IReadOnlyList<int> old;

    // Replaced as a whole: whoever asks for a status reads it at any time.
    private volatile Beginning beginning;

    public RolloutWatch(Function function, RevisionMeters meters, TimeProvider time)
    {
        this.meters = meters;
        this.time = time;
        this.function = function.Name;
        Rollout = function.Rollout!;
        old = [.. Rollout.Before.Shares.Select(s => s.Revision)];
        beginning = Begin();
    }

    /// <summary>The step that is judged.</summary>
    public Rollout Rollout { get; }

    /// <summary>What was found last; null before the first look.</summary>
    public RolloutVerdict? Verdict { get; set; }

    /// <summary>What was counted since it began.</summary>
    public RolloutWindow Window => new(
        time.GetElapsedTime(beginning.At), Of(Rollout.Revision),
        old.Aggregate(CallTally.None, (sum, revision) => sum.Plus(Of(revision))), Rollout.Baseline);

    /// <summary>What was counted since it began, of the new revision or of one of those before it.</summary>
    public CallTally Of(int revision) => Total(revision).Since(beginning.Counts[revision]);

    /// <summary>Begins anew: what was good long ago is no excuse.</summary>
    public void Reopen() => beginning = Begin();

    private Beginning Begin() => new(
        time.GetTimestamp(), old.Append(Rollout.Revision).ToDictionary(revision => revision, Total));

    private CallTally Total(int revision) => meters.Sum(function, [revision]);

    private sealed record Beginning(long At, IReadOnlyDictionary<int, CallTally> Counts);
}
