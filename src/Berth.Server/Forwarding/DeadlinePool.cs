using System.Collections.Concurrent;

namespace Berth.Server.Forwarding;

/// <summary>Sources of cancellation with a timer, used again by one call after the other: nearly all calls end before
/// their deadline, and a source that was never cancelled is as good as new.</summary>
internal sealed class DeadlinePool(TimeProvider time)
{
    private const int Kept = 1024;

    private readonly ConcurrentStack<CancellationTokenSource> free = new();
    private int count;

    /// <summary>One that is cancelled when the time is over. Disposing gives it back: nothing of the call may hold its
    /// token any more.</summary>
    public Lease Take(TimeSpan timeout)
    {
        // Another clock's timers can't be wound up again.
        if (time != TimeProvider.System || !free.TryPop(out CancellationTokenSource? source))
        {
            return new Lease(this, new CancellationTokenSource(timeout, time));
        }

        Interlocked.Decrement(ref count);
        source.CancelAfter(timeout);
        return new Lease(this, source);
    }

    private void GiveBack(CancellationTokenSource source)
    {
        if (time != TimeProvider.System || !source.TryReset())
        {
            source.Dispose();
        }
        else if (Interlocked.Increment(ref count) > Kept)
        {
            Interlocked.Decrement(ref count);
            source.Dispose();
        }
        else
        {
            free.Push(source);
        }
    }

    internal readonly struct Lease(DeadlinePool pool, CancellationTokenSource source) : IDisposable
    {
        public CancellationTokenSource Source => source;

        public void Dispose() => pool.GiveBack(source);
    }
}
