using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>Counts since the server started, and who else wants to know of ended runs.</summary>
internal sealed class RunLedger
{
    private readonly ConcurrentDictionary<(RunKind Kind, EndReason Reason), StrongBox<long>> ended = new();
    private long queued;
    private long submitted;
    private long refused;
    private long retried;
    private long preempted;
    private long lostRecords;
    private long delivered;
    private long givenUp;

    public IRunObserver? Observer { get; set; }

    public long Queued => Interlocked.Read(ref queued);

    public void Wait(long by) => Interlocked.Add(ref queued, by);

    /// <summary>Several servers count on the same queue: this is what the store says.</summary>
    public void Recount(long waiting) => Interlocked.Exchange(ref queued, waiting);

    /// <summary>Somebody else says that tasks wait; how many, the next count tells.</summary>
    public void WaitElsewhere() => Interlocked.CompareExchange(ref queued, 1, 0);

    public void Submitted() => Interlocked.Increment(ref submitted);

    public void Refused() => Interlocked.Increment(ref refused);

    public void Retried() => Interlocked.Increment(ref retried);

    public void Preempted() => Interlocked.Increment(ref preempted);

    public void LostRecord() => Interlocked.Increment(ref lostRecords);

    public void CallbackDelivered() => Interlocked.Increment(ref delivered);

    public void CallbackGivenUp() => Interlocked.Increment(ref givenUp);

    public void Count(Run run)
    {
        if (run.End is { } end)
        {
            Interlocked.Increment(ref ended.GetOrAdd((run.Kind, end.Reason), static _ => new StrongBox<long>()).Value);
        }

        Observer?.Ended(run);
    }

    public RunStatistics Statistics(RunPlaces places) => new(
        places.Taken, places.Places, places.WaitingCalls, Queued, Interlocked.Read(ref submitted),
        Interlocked.Read(ref refused),
        Interlocked.Read(ref retried), Interlocked.Read(ref preempted),
        ended.ToDictionary(entry => entry.Key, entry => Interlocked.Read(ref entry.Value.Value)),
        Interlocked.Read(ref lostRecords), Interlocked.Read(ref delivered), Interlocked.Read(ref givenUp));
}
