using System.Text.Json;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// The pass that hands ended tasks on to the functions that are their destinations: each becomes one new task, whose
/// input is the result of a success, or the record of a failure. What was owed is a row written with the end; the new
/// task has a key of its own, so that a server killed in between makes it once.
/// </summary>
internal sealed class TaskForwarding(RunRooms rooms, TaskIntake intake, RunReading reading, Action poke)
{
    private const int Batch = 64;

    /// <summary>Between looks where nothing says that there is something.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private volatile TaskCompletionSource poked = NewPoke();

    /// <summary>What a call of the named function is, with this run as its cause; set before anything runs. Throws why
    /// there can be none.</summary>
    public Func<string, Run, RunSpec> Call { get; set; } =
        (name, _) => throw new BerthException(ErrorCode.NotFound, $"There is no function '{name}'.");

    /// <summary>There is something to hand on: it was stored before.</summary>
    public void Poke() => poked.TrySetResult();

    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            if (poked.Task.IsCompleted)
            {
                // Before the look, so that no poke after it is lost.
                poked = NewPoke();
            }

            int done = 0;
            try
            {
                done = await ForwardAsync(stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (BerthException full) when (full.Code is ErrorCode.QueueFull or ErrorCode.StorageFull)
            {
                // There is room again some time, and it is looked at again.
            }
            catch (Exception error)
            {
                Log.PassFailed(rooms.Logger, "destinations", error);
            }

            if (done < Batch)
            {
                await WaitAsync(stop);
            }
        }
    }

    private async Task WaitAsync(CancellationToken stop)
    {
        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task timer = Task.Delay(Interval, rooms.Time, awake.Token);
        await Task.WhenAny(timer, poked.Task);
        await awake.CancelAsync();
        await timer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static TaskCompletionSource NewPoke() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task<int> ForwardAsync(CancellationToken stop)
    {
        IReadOnlyList<PendingForward> pending = await rooms.Store.PendingForwardsAsync(Batch, stop);
        foreach (PendingForward forward in pending)
        {
            RunEvent outcome = await ForwardAsync(forward, stop);
            long sequence = await rooms.Store.CloseForwardAsync(forward.Run, outcome, CancellationToken.None);
            CrashPoints.Reach(CrashPoint.ForwardClosed);
            if (sequence > 0)
            {
                rooms.Events.Publish(forward.Run, sequence, outcome);
            }
        }

        return pending.Count;
    }

    /// <summary>Throws what may pass by itself: it is looked at again then.</summary>
    private async Task<RunEvent> ForwardAsync(PendingForward forward, CancellationToken stop)
    {
        Run run = await reading.GetAsync(forward.Run, stop);
        try
        {
            if (run.Spec.Hops >= Destination.MaxHops)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"{Destination.MaxHops} destinations led to it already, which looks like functions that hand on to "
                    + "each other for ever.");
            }

            RunSpec spec = Call(forward.Function, run);
            await using Stream input = await InputAsync(run, stop);
            RunAcceptance made = await intake.AcceptAsync(
                new RunSubmission(spec, run.Caller, "destination " + run.Id.Text, run.Spec), input, stop);
            CrashPoints.Reach(CrashPoint.ForwardAccepted);
            poke();
            return new RunEvent(
                rooms.Time.GetUtcNow(), RunEventTypes.Forwarded, run.Attempts,
                $"Handed on to function '{forward.Function}', as run {made.Run.Id}.");
        }
        catch (BerthException error) when (
            error.Code is ErrorCode.NotFound or ErrorCode.Conflict or ErrorCode.ResultExpired
                or ErrorCode.InvalidRequest or ErrorCode.BodyTooLarge or ErrorCode.CallbackForbidden
                or ErrorCode.IdempotencyConflict)
        {
            return new RunEvent(
                rooms.Time.GetUtcNow(), RunEventTypes.ForwardFailed, run.Attempts,
                $"It could not be handed on to function '{forward.Function}': {error.Message}");
        }
    }

    private async Task<Stream> InputAsync(Run run, CancellationToken cancellationToken) =>
        run.State == RunState.Succeeded
            ? (await reading.ResultAsync(run.Id, cancellationToken)).Stream
            : new MemoryStream(
                JsonSerializer.SerializeToUtf8Bytes(RunPresentation.View(run), RunJson.Default.RunView),
                writable: false);
}
