using Berth.Core.Callbacks;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Callbacks;

/// <summary>
/// The pass that empties the outbox: delivers what is due, puts off what failed, gives up after a day with an event
/// that says so. At least once; the receiver tells repetitions by the idempotency key.
/// </summary>
internal sealed class CallbackDelivery(RunRooms rooms, CallbackPolicy policy, CallbackSigner signer)
{
    private const int Batch = 16;

    /// <summary>Between looks at the outbox; the end of a run is told within this time.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    public async Task RunAsync(CancellationToken stop)
    {
        using CallbackClient client = new(policy, signer, rooms.Time);
        while (!stop.IsCancellationRequested)
        {
            int done = 0;
            try
            {
                done = await DeliverAsync(client, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                Runs.Log.PassFailed(rooms.Logger, "callbacks", error);
            }

            if (done < Batch)
            {
                await Task.Delay(Interval, rooms.Time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Delivers one batch; returns how many were due.</summary>
    public async Task<int> DeliverAsync(CallbackClient client, CancellationToken cancellationToken)
    {
        IReadOnlyList<PendingCallback> due =
            await rooms.Store.DueCallbacksAsync(rooms.Time.GetUtcNow(), Batch, cancellationToken);
        await Task.WhenAll(due.Select(callback => DeliverAsync(client, callback, cancellationToken)));
        return due.Count;
    }

    private async Task DeliverAsync(CallbackClient client, PendingCallback callback,
        CancellationToken cancellationToken)
    {
        string? failure = await client.SendAsync(callback, cancellationToken);
        DateTimeOffset now = rooms.Time.GetUtcNow();
        int attempt = callback.Attempt + 1;
        if (failure is null)
        {
            rooms.Ledger.CallbackDelivered();
            await CloseAsync(callback, new RunEvent(
                now, RunEventTypes.CallbackDelivered, 0,
                $"The callback to {callback.Target.Host} was taken at try {attempt}."));
        }
        else if (CallbackSchedule.Next(attempt, callback.FirstDue, now) is { } next)
        {
            await rooms.Store.DeferCallbackAsync(callback, next, CancellationToken.None);
        }
        else
        {
            rooms.Ledger.CallbackGivenUp();
            await CloseAsync(callback, new RunEvent(
                now, RunEventTypes.CallbackFailed, 0,
                $"The callback to {callback.Target.Host} was given up after {attempt} tries: {failure}."));
        }
    }

    private async Task CloseAsync(PendingCallback callback, RunEvent outcome)
    {
        // Not cancelled: it has happened, and forgetting it would deliver it again.
        long sequence = await rooms.Store.CloseCallbackAsync(callback, outcome, CancellationToken.None);
        if (sequence > 0)
        {
            rooms.Events.Publish(callback.Run, sequence, outcome);
        }
    }
}
