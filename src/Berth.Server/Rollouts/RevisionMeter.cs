using Berth.Core.Rollouts;

namespace Berth.Server.Rollouts;

/// <summary>Counts of one revision. Counting takes no lock and memory does not grow: what happened lately is the
/// difference to counts of some minutes ago.</summary>
internal sealed class RevisionMeter
{
    private const int Minutes = 5;

    private readonly uint[] times = new uint[LatencyScale.Buckets];
    private readonly Lock gate = new();
    private readonly Queue<CallTally> marks = new(Minutes);
    private CallTally newest = CallTally.None;
    private long succeeded;
    private long failed;

    /// <summary>Since the server started.</summary>
    public CallTally Total => new(Interlocked.Read(ref succeeded), Interlocked.Read(ref failed), [.. times]);

    /// <summary>In the last five minutes, up to one more or less.</summary>
    public CallTally Recent
    {
        get
        {
            CallTally? then;
            lock (gate)
            {
                then = marks.Count == Minutes ? marks.Peek() : null;
            }

            return then is null ? Total : Total.Since(then);
        }
    }

    public void Count(CallVerdict verdict, TimeSpan took)
    {
        if (verdict == CallVerdict.Failed)
        {
            Interlocked.Increment(ref failed);
            return;
        }

        Interlocked.Increment(ref times[LatencyScale.IndexOf(took)]);
        Interlocked.Increment(ref succeeded);
    }

    /// <summary>A minute has passed.</summary>
    public void Mark()
    {
        lock (gate)
        {
            // Idle minutes share one count.
            if (newest.Succeeded != Interlocked.Read(ref succeeded) || newest.Failed != Interlocked.Read(ref failed))
            {
                newest = Total;
            }

            if (marks.Count == Minutes)
            {
                marks.Dequeue();
            }

            marks.Enqueue(newest);
        }
    }
}
