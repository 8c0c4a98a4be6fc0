namespace Berth.Server.Results;

/// <summary>How calls of functions whose results are shared were answered, since the server started.</summary>
internal sealed class SharedCallCounts
{
    private long hits;
    private long misses;
    private long coalesced;
    private long waiting;

    /// <summary>Calls that wait for the execution of an equal one now.</summary>
    public long Waiting => Interlocked.Read(ref waiting);

    public long Hits => Interlocked.Read(ref hits);

    public long Misses => Interlocked.Read(ref misses);

    public long Coalesced => Interlocked.Read(ref coalesced);

    public void Wait(int more) => Interlocked.Add(ref waiting, more);

    public void Hit() => Interlocked.Increment(ref hits);

    public void Miss() => Interlocked.Increment(ref misses);

    public void Coalesce() => Interlocked.Increment(ref coalesced);
}
