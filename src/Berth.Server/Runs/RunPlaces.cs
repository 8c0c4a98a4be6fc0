using Berth.Core.Errors;

namespace Berth.Server.Runs;

/// <summary>
/// The places for sandboxes that run at once. Calls and the dispatcher of tasks wait in one line, first come first
/// served; the line of calls is bounded.
/// </summary>
/// <param name="knobs">What raises the two limits, as a refusal names it.</param>
public sealed class RunPlaces(int places, int waitingCallsLimit, string knobs)
{
    private readonly Lock gate = new();
    private readonly LinkedList<TaskCompletionSource> line = new();
    private int taken;
    private int waitingCalls;

    public int Places => places;

    public string Knobs => knobs;

    public int Taken
    {
        get
        {
            lock (gate)
            {
                return taken;
            }
        }
    }

    public int WaitingCalls
    {
        get
        {
            lock (gate)
            {
                return waitingCalls;
            }
        }
    }

    /// <summary>Waits for a place as a call. Throws <c>QueueFull</c> when too many wait already.</summary>
    public async Task TakeForCallAsync(CancellationToken cancellationToken)
    {
        lock (gate)
        {
            if (taken >= places && waitingCalls >= waitingCallsLimit)
            {
                throw new BerthException(
                    ErrorCode.QueueFull,
                    $"{waitingCalls:N0} calls wait for one of {places:N0} places already: send it again later, or "
                    + $"raise {knobs}.")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                };
            }

            waitingCalls++;
        }

        try
        {
            await TakeAsync(cancellationToken);
        }
        finally
        {
            lock (gate)
            {
                waitingCalls--;
            }
        }
    }

    public async Task TakeAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        LinkedListNode<TaskCompletionSource> node;
        lock (gate)
        {
            if (taken < places && line.Count == 0)
            {
                taken++;
                return;
            }

            node = line.AddLast(turn);
        }

        await using CancellationTokenRegistration registration = cancellationToken.Register(
            () => Leave(node, cancellationToken));
        await turn.Task;
    }

    /// <summary>Takes up to <paramref name="most"/> free places that nobody waits for; returns how many.</summary>
    public int TakeFree(int most)
    {
        lock (gate)
        {
            int free = line.Count > 0 ? 0 : Math.Clamp(places - taken, 0, most);
            taken += free;
            return free;
        }
    }

    public void Release()
    {
        lock (gate)
        {
            // A place goes to the next in line without becoming free in between, or a newcomer could take it.
            while (line.First is { } first)
            {
                line.RemoveFirst();
                if (first.Value.TrySetResult())
                {
                    return;
                }
            }

            taken--;
        }
    }

    private void Leave(LinkedListNode<TaskCompletionSource> node, CancellationToken cancellationToken)
    {
        lock (gate)
        {
            if (node.List is not null)
            {
                line.Remove(node);
                node.Value.TrySetCanceled(cancellationToken);
            }
        }
    }
}
