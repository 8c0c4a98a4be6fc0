namespace Berth.Api.Links;

/// <summary>What may still be sent of one stream before the other end has read. For one sender at a time.</summary>
/// <param name="window">Bytes that may be under way.</param>
public sealed class CreditGate(int window = LinkProtocol.Window)
{
    private readonly Lock gate = new();
    private readonly int window = window;
    private int open = window;
    private TaskCompletionSource? waiting;
    private bool closed;

    /// <summary>Some more is welcome.</summary>
    /// <exception cref="LinkException">It is more than a window has.</exception>
    public void Add(int bytes)
    {
        TaskCompletionSource? wake;
        lock (gate)
        {
            open += bytes;
            if (open > window)
            {
                throw new LinkException($"More credit came over the link than a window of {window} has.");
            }

            wake = waiting;
            waiting = null;
        }

        wake?.TrySetResult();
    }

    /// <summary>The other end wants no more: <see cref="TakeAsync"/> throws from now on.</summary>
    public void Close()
    {
        TaskCompletionSource? wake;
        lock (gate)
        {
            closed = true;
            wake = waiting;
            waiting = null;
        }

        wake?.TrySetResult();
    }

    /// <summary>Waits until something may be sent; returns how much of <paramref name="wanted"/>.</summary>
    /// <exception cref="IOException">The other end wants no more.</exception>
    public async ValueTask<int> TakeAsync(int wanted, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task turn;
            lock (gate)
            {
                if (closed)
                {
                    throw new IOException("The other end reads no more.");
                }

                int taken = Math.Min(open, wanted);
                if (taken > 0)
                {
                    open -= taken;
                    return taken;
                }

                waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                turn = waiting.Task;
            }

            await turn.WaitAsync(cancellationToken);
        }
    }
}
