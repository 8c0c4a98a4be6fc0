using System.Text;
using Berth.Core.Callbacks;
using Berth.Server.Callbacks;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Webhooks;

/// <summary>
/// The pass that empties the outbox of webhooks as that of callbacks does: at least once, signed, put off when refused,
/// given up after a day. A bounded number is under way, one to a receiver at a time.
/// </summary>
internal sealed class WebhookDelivery(
    WebhookOutbox outbox, CallbackPolicy policy, CallbackSigner signer, TimeProvider time, ILogger logger)
{
    private const int Most = 16;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, Task> underWay = [];

    public async Task RunAsync(CancellationToken stop)
    {
        using CallbackClient client = new(policy, signer, time);
        using PeriodicTimer timer = new(Interval, time);
        try
        {
            do
            {
                BeginDue(client, stop);
            }
            while (await timer.WaitForNextTickAsync(stop));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The next server goes on.
        }

        await Task.WhenAll(underWay.Values);
    }

    /// <summary>Delivers everything that is due, each once.</summary>
    internal async Task DeliverDueAsync(CancellationToken stop)
    {
        using CallbackClient client = new(policy, signer, time);
        while (BeginDue(client, stop))
        {
            await Task.WhenAll(underWay.Values);
        }
    }

    /// <summary>Whether anything was begun.</summary>
    private bool BeginDue(CallbackClient client, CancellationToken stop)
    {
        bool begun = false;
        foreach ((string url, _) in underWay.Where(e => e.Value.IsCompleted).ToArray())
        {
            underWay.Remove(url);
        }

        DateTimeOffset now = time.GetUtcNow();
        foreach ((string id, OutboxEntry entry) in outbox.Waiting.OrderBy(e => e.Key, StringComparer.Ordinal))
        {
            // A clock that was set back must not hold events up: none is put off by more than this.
            bool due = entry.Due <= now || entry.Due - now > CallbackSchedule.Longest;
            if (due && underWay.Count < Most && !underWay.ContainsKey(entry.Url))
            {
                underWay[entry.Url] = DeliverAsync(client, id, entry, stop);
                begun = true;
            }
        }

        return begun;
    }

    /// <summary>Never faults.</summary>
    private async Task DeliverAsync(CallbackClient client, string id, OutboxEntry entry, CancellationToken stop)
    {
        try
        {
            string? failure = await client.SendAsync(
                new Uri(entry.Url), Encoding.UTF8.GetBytes(entry.Body), id, null, stop);
            int attempt = entry.Attempt + 1;
            if (failure is null)
            {
                outbox.Remove(id);
            }
            else if (CallbackSchedule.Next(attempt, entry.FirstDue, time.GetUtcNow()) is { } next)
            {
                outbox.Defer(id, entry, next);
            }
            else
            {
                Log.GivenUp(logger, entry.Url, id, attempt, failure);
                outbox.Remove(id);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // It stays in the outbox.
        }
        catch (Exception e)
        {
            Log.DeliveryFailed(logger, e);
        }
    }
}
