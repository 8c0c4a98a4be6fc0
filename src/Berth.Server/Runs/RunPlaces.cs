using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Scaling;

namespace Berth.Server.Runs;

/// <summary>
/// The places for sandboxes that run at once. Calls wait in a bounded line and are served by caller in turn, so that
/// one caller's flood does not keep back another; the dispatcher of tasks is one more whose turn comes.
/// </summary>
/// <param name="knobs">What raises the two limits, as a refusal names it.</param>
public sealed class RunPlaces(int places, int waitingCallsLimit, string knobs)
{
    /// <summary>No token has this name.</summary>
    private const string Dispatcher = "";

    private readonly Lock gate = new();
    private readonly FairLine<TaskCompletionSource> line = new(waitingCallsLimit);
    private int taken;

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
                return line.Count;
            }
        }
    }

    /// <summary>Waits for a place as a call. Throws <c>QueueFull</c> when too many wait already, also later: where a
    /// caller with fewer calls waiting comes to a full line, the newest of who has most leaves it.</summary>
    public Task TakeForCallAsync(string caller, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        FairLine<TaskCompletionSource>.Place? place;
        lock (gate)
        {
            if (TryTake())
            {
                return Task.CompletedTask;
            }

            place = line.Add(caller, turn, out TaskCompletionSource? yielded);
            if (place is null)
            {
                throw Full();
            }

            yielded?.TrySetException(Full());
        }

        return WaitAsync(turn, place, cancellationToken);
    }

    /// <summary>Waits for a place as the dispatcher, which no limit keeps out.</summary>
    public Task TakeForTaskAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        FairLine<TaskCompletionSource>.Place place;
        lock (gate)
        {
            if (TryTake())
            {
                return Task.CompletedTask;
            }

            place = line.AddUncounted(Dispatcher, turn);
        }

        return WaitAsync(turn, place, cancellationToken);
    }

    /// <summary>Takes up to <paramref name="most"/> free places that nobody waits for; returns how many.</summary>
    public int TakeFree(int most)
    {
        lock (gate)
        {
            int free = line.IsEmpty ? Math.Clamp(places - taken, 0, most) : 0;
            taken += free;
            return free;
        }
    }

    public void Release()
    {
        lock (gate)
        {
            // A place goes to the next in line without becoming free in between, or a newcomer could take it.
            while (line.TryTake(out TaskCompletionSource? next))
            {
                if (next!.TrySetResult())
                {
                    return;
                }
            }

            taken--;
        }
    }

    private bool TryTake()
    {
        bool free = taken < places && line.IsEmpty;
        taken += free ? 1 : 0;
        return free;
    }

    private async Task WaitAsync(
        TaskCompletionSource turn, FairLine<TaskCompletionSource>.Place place, CancellationToken cancellationToken)
    {
        await using CancellationTokenRegistration registration = cancellationToken.Register(
            () => Leave(turn, place, cancellationToken));
        await turn.Task;
    }

    private void Leave(
        TaskCompletionSource turn, FairLine<TaskCompletionSource>.Place place, CancellationToken cancellationToken)
    {
        lock (gate)
        {
            line.Remove(place);
            turn.TrySetCanceled(cancellationToken);
        }
    }

    private BerthException Full() => new(
        ErrorCode.QueueFull,
        string.Create(
            CultureInfo.InvariantCulture,
            $"{line.Count:N0} calls wait for one of {places:N0} places already: send it again later, or raise "
            + $"{knobs}."))
    {
        RetryAfter = TimeSpan.FromSeconds(1),
    };
}
