using System.Collections.Concurrent;
using System.Globalization;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Runs;

namespace Berth.Server.Rollouts;

/// <summary>A revision of a function.</summary>
internal readonly record struct RevisionKey(string Function, int Number);

/// <summary>What the calls of each revision came to since the server started, counted as they end. A revision that is
/// never called costs nothing.</summary>
internal sealed class RevisionMeters : IRunObserver
{
    private readonly ConcurrentDictionary<RevisionKey, RevisionMeter> meters = new();

    /// <summary>Every revision that was called, in no order.</summary>
    public IEnumerable<KeyValuePair<RevisionKey, RevisionMeter>> All => meters;

    public void Ended(Run run)
    {
        if (run.Kind is RunKind.Call or RunKind.Task
            && run.Spec.Labels.TryGetValue(FunctionLabels.Function, out string? function)
            && run.Spec.Labels.TryGetValue(FunctionLabels.Revision, out string? revision)
            && int.TryParse(revision, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            // Waiting for a place or a sandbox is no property of the program.
            Count(new RevisionKey(function, number), CallVerdicts.Of(run), run.Timings.Start + run.Timings.Run);
        }
    }

    /// <summary>The one door for whatever answers calls.</summary>
    /// <param name="took">Counts where it succeeded.</param>
    public void Count(RevisionKey revision, CallVerdict verdict, TimeSpan took)
    {
        if (verdict != CallVerdict.Nothing)
        {
            meters.GetOrAdd(revision, static _ => new RevisionMeter()).Count(verdict, took);
        }
    }

    /// <summary>Of all these revisions since the server started.</summary>
    public CallTally Sum(string function, IEnumerable<int> revisions) => Sum(function, revisions, static m => m.Total);

    /// <summary>Of all these revisions lately: <see cref="RevisionMeter.Recent"/>.</summary>
    public CallTally Recent(string function, IEnumerable<int> revisions) =>
        Sum(function, revisions, static m => m.Recent);

    /// <summary>A minute has passed.</summary>
    /// <param name="isKept">Others are forgotten.</param>
    public void Mark(Func<RevisionKey, bool> isKept)
    {
        foreach ((RevisionKey key, RevisionMeter meter) in meters)
        {
            if (isKept(key))
            {
                meter.Mark();
            }
            else
            {
                meters.TryRemove(key, out _);
            }
        }
    }

    private CallTally Sum(string function, IEnumerable<int> revisions, Func<RevisionMeter, CallTally> of)
    {
        CallTally? sum = null;
        foreach (int number in revisions)
        {
            if (meters.TryGetValue(new RevisionKey(function, number), out RevisionMeter? meter))
            {
                sum = sum is null ? of(meter) : sum.Plus(of(meter));
            }
        }

        return sum ?? CallTally.None;
    }
}
