namespace Berth.Node.Links;

/// <summary>
/// This machine's places, where several servers give it work: each knows what the others have here by heartbeats, which
/// are a second old. What comes while all are taken waits a little for one, and then runs all the same: places are a
/// measure, and an attempt that waited for long would be lost time for its caller.
/// </summary>
internal sealed class PlaceGate(int places, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim free = new(places);
    private int taken;

    public int Places => places;

    /// <summary>Attempts that have a place, or run without one.</summary>
    public int Taken => Volatile.Read(ref taken);

    /// <summary>Takes a place until it is disposed.</summary>
    public async ValueTask<IDisposable> TakeAsync(CancellationToken cancellationToken)
    {
        bool has = free.Wait(0, CancellationToken.None);
        if (!has)
        {
            using CancellationTokenSource limit = new(Patience, time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
                limit.Token, cancellationToken);
            try
            {
                await free.WaitAsync(either.Token);
                has = true;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                has = false;
            }
        }

        Interlocked.Increment(ref taken);
        return new Place(this, has);
    }

    public void Dispose() => free.Dispose();

    private sealed class Place(PlaceGate gate, bool has) : IDisposable
    {
        private int returned;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref returned, 1) != 0)
            {
                return;
            }

            Interlocked.Decrement(ref gate.taken);
            if (has)
            {
                gate.free.Release();
            }
        }
    }
}
