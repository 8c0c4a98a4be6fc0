using System.Threading.Tasks.Sources;

namespace Berth.Node.Linux;

/// <summary>
/// One direction of a descriptor: remembers an edge that came while nobody waited, wakes the one waiter otherwise.
/// The order that makes it lossless: <see cref="Clear"/>, try the call, and only on EAGAIN <see cref="WaitAsync"/>.
/// </summary>
internal sealed class Readiness : IValueTaskSource
{
    private const int Idle = 0;
    private const int Ready = 1;
    private const int Waiting = 2;
    private const int Closed = 3;

    private ManualResetValueTaskSourceCore<bool> core;
    private CancellationTokenRegistration cancellation;
    private int state;

    public bool IsClosed => Volatile.Read(ref state) == Closed;

    public void Clear() => Interlocked.CompareExchange(ref state, Idle, Ready);

    /// <summary>Completes at the next edge, or at once when one came since <see cref="Clear"/>.</summary>
    public ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        core.Reset();
        // From here on an edge may complete the source; nothing below may touch it again.
        switch (Interlocked.CompareExchange(ref state, Waiting, Idle))
        {
            case Idle:
                break;
            case Ready:
                return ValueTask.CompletedTask;
            case Closed:
                throw new ObjectDisposedException(nameof(FileDescriptor));
            default:
                throw new InvalidOperationException("A descriptor's direction has one waiter at a time.");
        }

        short version = core.Version;
        cancellation = cancellationToken.UnsafeRegister(
            static (self, token) => ((Readiness)self!).Cancel(token), this);
        return new ValueTask(this, version);
    }

    /// <param name="runsHere">Whether the waiter goes on in this thread, before this returns.</param>
    public void Signal(bool runsHere)
    {
        if (TryComplete(runsHere))
        {
            return;
        }

        // A waiter that came between the two exchanges would sleep through this edge; the loop closes the gap.
        while (Interlocked.CompareExchange(ref state, Ready, Idle) == Waiting)
        {
            if (TryComplete(runsHere))
            {
                return;
            }
        }
    }

    public void Close()
    {
        if (Interlocked.Exchange(ref state, Closed) == Waiting)
        {
            core.RunContinuationsAsynchronously = true;
            core.SetException(new ObjectDisposedException(nameof(FileDescriptor)));
        }
    }

    public void GetResult(short token)
    {
        // Waits for a cancellation that is just running, so that it can't hit the next wait.
        cancellation.Dispose();
        core.GetResult(token);
    }

    public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

    public void OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags);

    private bool TryComplete(bool runsHere)
    {
        if (Interlocked.CompareExchange(ref state, Idle, Waiting) != Waiting)
        {
            return false;
        }

        core.RunContinuationsAsynchronously = !runsHere;
        core.SetResult(true);
        return true;
    }

    private void Cancel(CancellationToken token)
    {
        if (Interlocked.CompareExchange(ref state, Idle, Waiting) == Waiting)
        {
            core.RunContinuationsAsynchronously = true;
            core.SetException(new OperationCanceledException(token));
        }
    }
}
