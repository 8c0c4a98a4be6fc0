namespace Berth.Simulation.Worlds;

/// <summary>A clock that stands until something is due, and all that is. Two things due at one moment happen in the
/// order in which they were asked for.</summary>
internal sealed class Timeline
{
    private readonly PriorityQueue<Action, (long Ticks, long Order)> due = new();
    private long order;

    public TimeSpan Now { get; private set; }

    /// <summary>What happened so far.</summary>
    public long Steps { get; private set; }

    public void Add(TimeSpan delay, Action act) => due.Enqueue(act, ((Now + delay).Ticks, order++));

    /// <summary>The next thing happens. False where there is none, or none before <paramref name="until"/>.</summary>
    public bool Step(TimeSpan until)
    {
        if (!due.TryPeek(out _, out (long Ticks, long Order) next) || next.Ticks > until.Ticks)
        {
            Now = until;
            return false;
        }

        Action act = due.Dequeue();
        Now = TimeSpan.FromTicks(next.Ticks);
        Steps++;
        act();
        return true;
    }
}
