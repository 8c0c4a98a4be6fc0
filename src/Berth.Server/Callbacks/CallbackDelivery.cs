using Berth.Core.Callbacks;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Callbacks;

/// <summary>
/// The pass that empties the outbox: delivers what is due, puts off what failed, gives up after a day with an event
/// that says so. At least once; the receiver tells repetitions by the idempotency key. A bounded number is under way, a
/// few to a host, so that receivers that do not answer hold up nobody else.
/// </summary>
internal sealed class CallbackDelivery(RunRooms rooms, CallbackPolicy policy, CallbackSigner signer)
{
    // Each is a connection and a body in memory; a receiver that never answers has one for 10 s.
    private const int Most = 64;
    private const int MostToAHost = 4;

    /// <summary>Between looks at the outbox; the end of a run is told within this time.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<(RunId Run, int Slot), (string Host, Task Delivery)> underWay = [];

    public async Task RunAsync(CancellationToken stop)
    {
        using CallbackClient client = new(policy, signer, rooms.Time);
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await BeginDueAsync(client, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error)
            {
                Runs.Log.PassFailed(rooms.Logger, "callbacks", error);
            }

            await WaitAsync(stop);
            foreach (((RunId, int) run, (_, Task delivery)) in underWay.ToArray())
            {
                if (delivery.IsCompleted)
                {
                    underWay.Remove(run);
                }
            }
        }

        await Task.WhenAll(underWay.Values.Select(entry => entry.Delivery));
    }

    /// <summary>Begins what is due, up to the bounds.</summary>
    private async Task BeginDueAsync(CallbackClient client, CancellationToken stop)
    {
        bool begun = true;
        while (begun && underWay.Count < Most)
        {
            begun = false;
            string[] busy = [.. underWay.Values.Select(entry => entry.Host).Distinct().Where(IsBusy)];
            // Those under way are due as well until they are recorded, so as many more are asked for.
            IReadOnlyList<PendingCallback> due = await rooms.Store.DueCallbacksAsync(
                rooms.Clock.Now, busy, 2 * Most, stop);
            foreach (PendingCallback callback in due)
            {
                string host = callback.Target.IdnHost;
                if (underWay.Count < Most && !underWay.ContainsKey((callback.Run, callback.Slot)) && !IsBusy(host))
                {
                    underWay.Add((callback.Run, callback.Slot), (host, DeliverAsync(client, callback, stop)));
                    begun = true;
                }
            }
        }
    }

    private bool IsBusy(string host) => underWay.Values.Count(entry => entry.Host == host) >= MostToAHost;

    /// <summary>Until the next look; where a bound was met, until one under way has ended.</summary>
    private async Task WaitAsync(CancellationToken stop)
    {
        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task timer = Task.Delay(Interval, rooms.Time, awake.Token);
        bool bounded = underWay.Count >= Most || underWay.Values.Any(entry => IsBusy(entry.Host));
        await Task.WhenAny(bounded ? underWay.Values.Select(entry => entry.Delivery).Append(timer) : [timer]);
        await awake.CancelAsync();
        await timer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Never faults.</summary>
    private async Task DeliverAsync(CallbackClient client, PendingCallback callback, CancellationToken stop)
    {
        try
        {
            await SendAsync(client, callback, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The next server sends it.
        }
        catch (Exception error)
        {
            Runs.Log.PassFailed(rooms.Logger, "callbacks", error);
            // It is still due: a store that can't be written must not have the receiver called without a pause.
            await Task.Delay(Interval, rooms.Time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SendAsync(CallbackClient client, PendingCallback callback, CancellationToken stop)
    {
        // One of a kind for each run, so the run's id tells a repeated delivery from a new one.
        string key = callback.Slot == PendingCallback.OfCaller
            ? callback.Run.Text : callback.Run.Text + "-destination";
        string? failure = await client.SendAsync(callback.Target, callback.Body, key, callback.Run.Text, stop);
        CrashPoints.Reach(CrashPoint.CallbackSent);
        RunMoment now = rooms.Clock.Moment;
        int attempt = callback.Attempt + 1;
        if (failure is null)
        {
            rooms.Ledger.CallbackDelivered();
            await CloseAsync(callback, new RunEvent(
                now.At, RunEventTypes.CallbackDelivered, 0,
                $"The callback to {callback.Target.Host} was taken at try {attempt}."));
        }
        else if (CallbackSchedule.Next(attempt, callback.FirstDue, now.Steady) is { } next)
        {
            await rooms.Store.DeferCallbackAsync(callback, next, CancellationToken.None);
            CrashPoints.Reach(CrashPoint.CallbackDeferred);
        }
        else
        {
            rooms.Ledger.CallbackGivenUp();
            await CloseAsync(callback, new RunEvent(
                now.At, RunEventTypes.CallbackFailed, 0,
                $"The callback to {callback.Target.Host} was given up after {attempt} tries: {failure}."));
        }
    }

    private async Task CloseAsync(PendingCallback callback, RunEvent outcome)
    {
        // Not cancelled: it has happened, and forgetting it would deliver it again.
        long sequence = await rooms.Store.CloseCallbackAsync(callback, outcome, CancellationToken.None);
        CrashPoints.Reach(CrashPoint.CallbackClosed);
        if (sequence > 0)
        {
            rooms.Events.Publish(callback.Run, sequence, outcome);
        }
    }
}
