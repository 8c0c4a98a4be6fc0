using System.Collections.Concurrent;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Nodes;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// Gives free places to waiting tasks: the highest priority first, among equals each caller's oldest in turn. Where
/// there is none, programs that give way are ended for what does not: on a machine that is alone any of them, among
/// several nodes those that the planner names. A pass: it looks at the store, claims what fits
/// and waits for a poke or for the time at which the next retry is due; nothing is lost when a poke is.
/// </summary>
internal sealed class TaskDispatcher
{
    /// <summary>Claims in one transaction; more would hold places that calls wait for.</summary>
    private const int BatchLimit = 32;

    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>Between two looks whether a retry has become due for which a program is to give way.</summary>
    private static readonly TimeSpan CrowdedWait = TimeSpan.FromSeconds(1);

    private readonly RunRooms rooms;
    private readonly RunPlaces places;
    private readonly Lock preempting = new();
    private readonly ConcurrentDictionary<RunId, (TaskExecution Execution, Task Done)> executions = new();
    private readonly SemaphoreSlim poke = new(0, 1);
    private Task? poked;
    private int preemptible;
    private volatile bool isMissing;

    /// <summary>Whether the last claim took as many as it asked for: more may be due, and nobody has to look.</summary>
    private bool hasMore;

    /// <summary>The last that was taken up without a place, until it is known what gives way for it.</summary>
    private volatile TaskExecution? pressing;
    private DateTimeOffset pressAgain = DateTimeOffset.MinValue;

    public TaskDispatcher(RunRooms rooms, RunPlaces places)
    {
        this.rooms = rooms;
        this.places = places;
        places.Crowded = MakeRoom;
    }

    public int Count => executions.Count;

    /// <summary>The claims that this server works on.</summary>
    public IReadOnlyList<(RunId Id, int Generation)> Executing =>
        [.. executions.Select(entry => (entry.Key, entry.Value.Execution.Generation))];

    public void Poke()
    {
        try
        {
            poke.Release();
        }
        catch (SemaphoreFullException)
        {
            // It was poked already and has not looked yet.
            return;
        }
    }

    public TaskExecution? Find(RunId id) =>
        executions.TryGetValue(id, out (TaskExecution Execution, Task Done) entry) ? entry.Execution : null;

    /// <summary>Dispatches until <paramref name="stop"/>; executions then go on by themselves.</summary>
    /// <param name="giveUp">Ends the executions' tries to store their ends.</param>
    public async Task RunAsync(CancellationToken giveUp, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                if (await DispatchAsync(giveUp, stop) == 0)
                {
                    await WaitAsync(stop);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                Log.DispatchFailed(rooms.Logger, error);
                await Task.Delay(TimeSpan.FromSeconds(1), rooms.Time, stop)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Completes when every execution under way now has ended.</summary>
    public Task DrainAsync() => Task.WhenAll(executions.Values.Select(entry => entry.Done));

    /// <summary>Ends an attempt for what the planner found to need its room. Returns how long that may take; null where
    /// it is over.</summary>
    public TimeSpan? GiveWay(RunId id, int generation, GivenWay cause)
    {
        TimeSpan? grace = Find(id) is { } execution && execution.Generation == generation
            ? execution.GiveWay(cause)
            : null;
        if (pressing?.Id == cause.Run)
        {
            pressing = null;
            Poke();
        }

        return grace;
    }

    public void HandBackAll()
    {
        foreach ((TaskExecution execution, _) in executions.Values)
        {
            execution.HandBack();
        }
    }

    private async Task<int> DispatchAsync(CancellationToken giveUp, CancellationToken stop)
    {
        // No place is held on the mere chance of work: calls would wait for it.
        bool isDue = rooms.Ledger.Queued > 0
            && (hasMore || (await NextDueAsync(stop) is { } due && due <= rooms.Clock.Now));
        hasMore = false;
        if (!isDue)
        {
            return 0;
        }

        bool isPressing = await TakePlaceAsync(stop);
        int held = 1 + places.TakeFree((int)Math.Clamp(rooms.Ledger.Queued - 1, 0, BatchLimit - 1));
        try
        {
            // Not cancelled by the stop: a claim that was made must be known here.
            IReadOnlyList<ClaimedRun> claimed = await rooms.Store.ClaimAsync(
                new ClaimOrder(held, rooms.Clock.Now) { UnderWay = UnderWay() }, CancellationToken.None);
            CrashPoints.Reach(CrashPoint.TasksClaimed);
            hasMore = claimed.Count == held;
            foreach (ClaimedRun run in claimed)
            {
                held--;
                Begin(run, isPressing, giveUp);
                isPressing = false;
            }

            return claimed.Count;
        }
        finally
        {
            for (; held > 0; held--)
            {
                places.Release();
            }
        }
    }

    /// <summary>Executions by caller.</summary>
    private Dictionary<string, int> UnderWay() => executions.Values
        .GroupBy(entry => entry.Execution.Caller, StringComparer.Ordinal)
        .ToDictionary(group => group.Key, group => group.Count(), StringComparer.Ordinal);

    /// <summary>Waits for a place, and has one made where what waits for it is not to.</summary>
    /// <returns>Whether it is one that something else is still to leave.</returns>
    private async Task<bool> TakePlaceAsync(CancellationToken stop)
    {
        using CancellationTokenSource waiting = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task taken = places.TakeForTaskAsync(waiting.Token);
        try
        {
            // None is begun meanwhile that could give way: beginning is done here alone.
            while (!taken.IsCompleted && Volatile.Read(ref preemptible) > 0)
            {
                if (!await PressAsync(taken, stop))
                {
                    continue;
                }

                await waiting.CancelAsync();
                await taken.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (taken.IsCompletedSuccessfully)
                {
                    return false;
                }

                places.TakeBeyond();
                return true;
            }

            await taken;
            return false;
        }
        catch
        {
            await waiting.CancelAsync();
            await taken.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (taken.IsCompletedSuccessfully)
            {
                places.Release();
            }

            throw;
        }
        finally
        {
            isMissing = false;
        }
    }

    /// <summary>Until there is a place, or something else may wait for it.</summary>
    /// <returns>Whether what waits is to be taken up without one: where there are several nodes the planner knows what
    /// has to end for it, and whether that helps.</returns>
    private async Task<bool> PressAsync(Task taken, CancellationToken stop)
    {
        if (await rooms.Store.HighestWaitingAsync(rooms.Clock.Now, stop) is { } highest
            && !RunPriority.GivesWay(highest))
        {
            if (rooms.Fleet is null or { IsAlone: true })
            {
                isMissing = true;
                MakeRoom();
            }
            else if (MayPress())
            {
                return true;
            }
        }

        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task look = Task.Delay(CrowdedWait, rooms.Time, over.Token);
        poked ??= poke.WaitAsync(stop);
        await Task.WhenAny(taken, poked, look);
        if (poked.IsCompleted)
        {
            poked = null;
        }

        await over.CancelAsync();
        await look.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return false;
    }

    /// <summary>One at a time, and no more than could have a place so. After one in vain it rests.</summary>
    private bool MayPress()
    {
        lock (preempting)
        {
            return pressing is null or { HasBegun: true } && rooms.Clock.Now >= pressAgain
                && places.Beyond < executions.Values.Count(e => e.Execution is { IsPreemptible: true, HasPlace: true });
        }
    }

    /// <summary>Ends as many programs that give way as places are missing: the lowest priority first, of equals the one
    /// that has done least.</summary>
    private void MakeRoom()
    {
        if (Volatile.Read(ref preemptible) == 0)
        {
            return;
        }

        lock (preempting)
        {
            TaskExecution[] candidates =
            [
                .. executions.Values.Select(entry => entry.Execution).Where(e => e.IsPreemptible && e.HasPlace),
            ];
            int missing = places.Missing + (isMissing ? 1 : 0) - candidates.Count(execution => execution.IsLeaving);
            foreach (TaskExecution execution in candidates.Where(execution => !execution.IsLeaving)
                .OrderBy(execution => execution.Priority).ThenByDescending(execution => execution.ClaimedAt)
                .Take(Math.Max(0, missing)))
            {
                execution.GiveWay(cause: null);
            }
        }
    }

    private void Begin(ClaimedRun claimed, bool isPressing, CancellationToken giveUp)
    {
        rooms.Ledger.Wait(-1);
        RunMoment now = rooms.Clock.Moment;
        TimeSpan waited = now.Steady - claimed.Run.ReadyAt;
        RunEvent taken = new(
            now.At, RunEventTypes.Claimed, claimed.Run.Attempts,
            RunSentences.Claimed(waited, places.Taken, places.Places));
        TaskExecution execution = new(rooms, claimed, waited, taken, () => places.Release());
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        // Known before it begins, so that a cancel finds it.
        executions[execution.Id] = (execution, done.Task);
        Interlocked.Add(ref preemptible, execution.IsPreemptible ? 1 : 0);
        pressing = isPressing ? execution : pressing;
        _ = Task.Run(() => ExecuteAsync(execution, done, giveUp), CancellationToken.None);
    }

    private async Task ExecuteAsync(TaskExecution execution, TaskCompletionSource done, CancellationToken giveUp)
    {
        try
        {
            CrashPoints.Reach(CrashPoint.AttemptBegun);
            await execution.RunAsync(giveUp);
        }
        catch (Exception error)
        {
            Log.ExecutionFailed(rooms.Logger, execution.Id, error);
        }
        finally
        {
            CrashPoints.Reach(CrashPoint.AttemptOver);
            executions.TryRemove(execution.Id, out _);
            Interlocked.Add(ref preemptible, execution.IsPreemptible ? -1 : 0);
            Settle(execution);
            done.SetResult();
            Poke();
        }
    }

    /// <summary>Nothing gives way for what is over.</summary>
    private void Settle(TaskExecution over)
    {
        lock (preempting)
        {
            if (pressing == over)
            {
                pressing = null;
                pressAgain = over.WasDeferred ? rooms.Clock.Now + CrowdedWait : pressAgain;
            }
        }
    }

    private async Task<DateTimeOffset?> NextDueAsync(CancellationToken stop) =>
        (await rooms.Store.NextDueAsync(stop)).Run is { } due ? rooms.Deferred?.LookAt(due) ?? due : null;

    private async Task WaitAsync(CancellationToken stop)
    {
        TimeSpan wait = LongestWait;
        if (await NextDueAsync(stop) is { } due)
        {
            wait = TimeSpan.FromTicks(Math.Clamp((due - rooms.Clock.Now).Ticks, 0, LongestWait.Ticks));
        }

        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task timer = Task.Delay(wait, rooms.Time, awake.Token);
        // Kept until a poke comes: one that was abandoned instead might still be in line and take a later poke with it.
        poked ??= poke.WaitAsync(stop);
        await Task.WhenAny(timer, poked);
        if (poked.IsCompleted)
        {
            poked = null;
        }

        await awake.CancelAsync();
        await timer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
