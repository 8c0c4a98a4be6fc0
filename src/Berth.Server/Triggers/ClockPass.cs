using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Triggers;

/// <summary>Fires the clocks whose times have come. What it has seen to is durable with each firing; a server that was
/// killed goes on from there.</summary>
internal sealed class ClockPass(
    TriggerManager triggers, TriggerFiring firing, IRunManager runs, TimeProvider time, ILogger logger)
{
    /// <summary>A clock of the machine's that was set is looked at again this soon.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>Until what could not be done is tried again.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    /// <summary>What was seen to ahead of the machine's clock by more is forgotten; by less, the clock catches up.
    /// </summary>
    private static readonly TimeSpan MostAhead = TimeSpan.FromHours(3);

    /// <summary>That a timer may be; with more there is another look.</summary>
    private static readonly TimeSpan MostLate = TimeSpan.FromMilliseconds(50);

    private volatile TaskCompletionSource poked = NewPoke();

    /// <summary>There may be an earlier time now.</summary>
    public void Poke() => poked.TrySetResult();

    public async Task RunAsync(CancellationToken stop)
    {
        try
        {
            while (!stop.IsCancellationRequested)
            {
                if (poked.Task.IsCompleted)
                {
                    poked = NewPoke();
                }

                DateTimeOffset begun = time.GetUtcNow();
                bool done = await LookAsync(stop);
                await WaitAsync(done ? Next(begun) : time.GetUtcNow() + Pause, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    /// <summary>Sees to all that is due. False where something has to be tried again.</summary>
    internal async Task<bool> LookAsync(CancellationToken stop)
    {
        bool done = true;
        foreach (TriggerEntry entry in triggers.All)
        {
            if (entry.Record is not { Clock: { } clock, IsPaused: false })
            {
                continue;
            }

            try
            {
                await LookAsync(entry, clock, stop);
            }
            catch (BerthException full) when (full.Code is ErrorCode.QueueFull or ErrorCode.ShuttingDown
                or ErrorCode.StorageFull or ErrorCode.StorageFault)
            {
                done = false;
            }
            catch (Exception error) when (!stop.IsCancellationRequested)
            {
                done = false;
                Log.PassFailed(logger, entry.Record.Name, error);
            }
        }

        return done;
    }

    private static TaskCompletionSource NewPoke() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task LookAsync(TriggerEntry entry, ClockSpec clock, CancellationToken stop)
    {
        Trigger trigger = entry.Record;
        DateTimeOffset now = time.GetUtcNow();
        if (entry.Seen - now > MostAhead)
        {
            // The machine's clock was wrong, and was put right.
            triggers.See(trigger, now);
            return;
        }

        ClockPlan plan = ClockPlan.At(clock, entry.Seen, now);
        if (plan.Missed is { } missed)
        {
            await RecordAsync(
                trigger, missed, FiringOutcome.Missed, "No server looked at that time, nor at those before it.", stop);
        }

        foreach (DateTimeOffset due in plan.Due)
        {
            if (clock.Concurrency == ClockConcurrency.Allow
                || await MayFireAsync(trigger, clock.Concurrency, due, stop))
            {
                await firing.FireAsync(
                    trigger, TriggerFiring.Moment(due), EventOf(trigger, due), null, due, null, stop);
            }
        }
    }

    /// <summary>False where the one before goes on, and this one is passed over.</summary>
    private async Task<bool> MayFireAsync(
        Trigger trigger, ClockConcurrency concurrency, DateTimeOffset due, CancellationToken stop)
    {
        if (await triggers.LastRunAsync(trigger, stop) is not { } last || await HasEndedAsync(last, stop))
        {
            return true;
        }

        if (concurrency == ClockConcurrency.Replace)
        {
            await runs.CancelAsync(last, stop);
            return true;
        }

        await RecordAsync(trigger, due, FiringOutcome.Skipped, $"Run {last} had not ended.", stop);
        return false;
    }

    private async Task<bool> HasEndedAsync(RunId id, CancellationToken stop)
    {
        try
        {
            return (await runs.GetAsync(id, stop)).State.IsTerminal();
        }
        catch (BerthException gone) when (gone.Code == ErrorCode.RunNotFound)
        {
            return true;
        }
    }

    private Task RecordAsync(
        Trigger trigger, DateTimeOffset due, FiringOutcome outcome, string detail, CancellationToken stop) =>
        firing.RecordAsync(
            trigger,
            new Firing(trigger.Id, TriggerFiring.Moment(due), time.GetUtcNow(), outcome, null, detail), due, null,
            stop);

    /// <summary>The same for the same time, whenever it is made.</summary>
    internal static CloudEvent EventOf(Trigger trigger, DateTimeOffset due)
    {
        string moment = TriggerFiring.Moment(due);
        byte[] data = trigger.Body is { } body
            ? Encoding.UTF8.GetBytes(body)
            : JsonSerializer.SerializeToUtf8Bytes(
                new ClockData(trigger.Name, moment), TriggerDataJson.Default.ClockData);
        string type = trigger.ContentType ?? (trigger.Body is null ? "application/json" : "text/plain");
        return TriggerFiring.Own(trigger, "clock", moment, due, null, type, data);
    }

    /// <summary>When to look again.</summary>
    /// <param name="begun">When the last look began: what came since may not have been seen.</param>
    private DateTimeOffset Next(DateTimeOffset begun)
    {
        DateTimeOffset earliest = time.GetUtcNow() + LongestWait;
        foreach (TriggerEntry entry in triggers.All)
        {
            if (entry.Record is { Clock: { } clock, IsPaused: false }
                && clock.Times.Next(entry.Seen > begun ? entry.Seen : begun) is { } next && next < earliest)
            {
                earliest = next;
            }
        }

        return earliest;
    }

    private async Task WaitAsync(DateTimeOffset until, CancellationToken stop)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (until <= now)
        {
            return;
        }

        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task timer = Task.Delay(until - now, time, awake.Token);
        // The clock may have gone on before there was a timer, which then is late by as much.
        if (time.GetUtcNow() - now < MostLate)
        {
            await Task.WhenAny(timer, poked.Task);
        }

        await awake.CancelAsync();
        await timer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
