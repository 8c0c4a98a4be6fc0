using System.Threading.Tasks.Sources;

namespace Berth.Server.Loops;

/// <summary>
/// An edge that one waits for. Who waits goes on in the thread that sets it, before <see cref="Set"/> returns; after
/// <see cref="Close"/> in the thread pool.
/// </summary>
internal sealed class LoopSignal : IValueTaskSource
{
    private const int Clear = 0;
    private const int Noted = 1;
    private const int Awaited = 2;
    private const int Closed = 3;

    private ManualResetValueTaskSourceCore<bool> source;
    private int state;

    public bool IsSet => Volatile.Read(ref state) == Noted;

    public bool IsClosed => Volatile.Read(ref state) == Closed;

    /// <summary>Forgets an edge that nobody waited for.</summary>
    public void Reset() => Interlocked.CompareExchange(ref state, Clear, Noted);

    /// <summary>The next edge, or one since <see cref="Reset"/>. For one at a time.</summary>
    /// <exception cref="ObjectDisposedException">It was closed.</exception>
    public ValueTask WaitAsync()
    {
        source.Reset();
        source.RunContinuationsAsynchronously = false;
        switch (Interlocked.CompareExchange(ref state, Awaited, Clear))
        {
            case Clear:
                return new ValueTask(this, source.Version);
            case Noted when Interlocked.CompareExchange(ref state, Clear, Noted) == Noted:
                return ValueTask.CompletedTask;
            default:
                throw new ObjectDisposedException(nameof(LoopSocket));
        }
    }

    public void Set()
    {
        while (true)
        {
            switch (Volatile.Read(ref state))
            {
                case Clear when Interlocked.CompareExchange(ref state, Noted, Clear) == Clear:
                case Noted:
                case Closed:
                    return;
                case Awaited when Interlocked.CompareExchange(ref state, Clear, Awaited) == Awaited:
                    source.SetResult(true);
                    return;
            }
        }
    }

    public void Close()
    {
        if (Interlocked.Exchange(ref state, Closed) == Awaited)
        {
            source.RunContinuationsAsynchronously = true;
            source.SetException(new ObjectDisposedException(nameof(LoopSocket)));
        }
    }

    void IValueTaskSource.GetResult(short token) => source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => source.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        source.OnCompleted(continuation, state, token, flags);
}
