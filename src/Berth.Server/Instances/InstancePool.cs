using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Scaling;
using Berth.Server.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Instances;

/// <summary>
/// The instances of one revision: gives each call the least busy one, lets calls wait in turn when all are full, and
/// has as many as the autoscaler wants. An instance that has a call is never ended but by its own fault.
/// </summary>
/// <param name="name">Of function and revision, for messages.</param>
/// <param name="start">Starts one program; it need not be ready.</param>
/// <param name="couldStart">Whether some node would take one more.</param>
internal sealed partial class InstancePool(
    string name, ServiceSpec service, int maxWaiting, Func<CancellationToken, Task<Instance>> start,
    Func<bool> couldStart, TimeProvider time, ILogger logger)
{
    /// <summary>Instances that a call is given at most, each of which ended before it knew of it.</summary>
    public const int MaxTries = 5;

    private static readonly TimeSpan FirstRest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan EndPause = TimeSpan.FromMilliseconds(5);

    private readonly Lock gate = new();
    private readonly List<Instance> ready = [];
    private readonly FairLine<Waiter> line = new(maxWaiting);
    private readonly LoadMeter load = new();
    private readonly Autoscaler autoscaler = new(service.Scale, service.Concurrency);
    private ScaleSpec settings = service.Scale;
    private readonly CancellationTokenSource stopping = new();
    private readonly HashSet<Task> lives = [];
    private readonly long epoch = time.GetTimestamp();
    private int running;
    private int starting;
    private bool retired;
    private BerthException? trouble;
    private int failures;
    private TimeSpan restUntil;
    private string why = "Nothing was called yet.";

    public string Name => name;

    /// <summary>Whether calls are routed to the revision, so that its least number of instances is kept.</summary>
    public bool IsRouted { get; set; }

    /// <summary>No program is there or on its way. The caller holds the gate.</summary>
    private bool HasNone => starting == 0 && ready.TrueForAll(static i => i.HasEnded);

    private TimeSpan Now => time.GetElapsedTime(epoch);

    /// <summary>An instance for one call; <see cref="Leave"/> gives it back.</summary>
    /// <param name="caller">Whose turn it is when calls have to wait.</param>
    /// <exception cref="BerthException">QueueFull, ShuttingDown, or why no instance can be started.</exception>
    public ValueTask<Instance> EnterAsync(string caller, CancellationToken cancellationToken)
    {
        Waiter? yielded;
        Waiter waiter;
        lock (gate)
        {
            if (retired)
            {
                throw CallStart.ShuttingDown(null);
            }

            if (Free() is { } free)
            {
                Take(free);
                Note();
                return new ValueTask<Instance>(free);
            }

            if (HasNone && trouble is { } fault && Now < restUntil)
            {
                throw PoolRefusal.Again(fault, restUntil - Now);
            }

            waiter = new Waiter();
            FairLine<Waiter>.Place? place = line.Add(caller, waiter, out yielded);
            if (place is null)
            {
                throw PoolRefusal.Full(name, maxWaiting);
            }

            waiter.Place = place;
            Note();
        }

        yielded?.Turn.TrySetException(PoolRefusal.Full(name, maxWaiting));
        Scale();
        return new ValueTask<Instance>(WaitAsync(waiter, cancellationToken));
    }

    /// <summary>The call is over.</summary>
    /// <param name="dismiss">It gets no more calls.</param>
    public void Leave(Instance instance, bool dismiss = false)
    {
        bool ended;
        lock (gate)
        {
            instance.IsDraining |= dismiss;
            instance.Running--;
            instance.IdleSince = Now;
            running--;
            ended = instance is { IsDraining: true, Running: 0 };
            if (!ended)
            {
                Serve();
            }

            Note();
        }

        if (ended)
        {
            End(instance);
            Scale();
        }
    }

    /// <summary>Other settings for how many there are, from the next <see cref="Scale"/> on.</summary>
    public void Rescale(ScaleSpec scale)
    {
        lock (gate)
        {
            if (scale != settings)
            {
                settings = scale;
                autoscaler.Rescale(scale);
            }
        }
    }

    /// <summary>Brings the number of instances to what is wanted now.</summary>
    public void Scale()
    {
        List<Instance> surplus = [];
        lock (gate)
        {
            if (retired)
            {
                return;
            }

            TimeSpan now = Now;
            LoadFigures figures = new(
                load.Average(Autoscaler.StableWindow, now), load.Average(Autoscaler.BurstWindow, now), load.Now,
                load.IdleAt(now));
            int open = ready.Count(i => i.IsOpen);
            ScaleDecision decision = autoscaler.Decide(figures, open, starting, IsRouted, now, time.GetUtcNow());
            why = decision.Why;
            int missing = decision.Wanted - open - starting;
            if (missing > 0)
            {
                Grow(missing, now);
            }
            else if (missing < 0)
            {
                Shrink(Math.Min(-missing, open), surplus);
            }

            if (open >= decision.Wanted)
            {
                Relieve(surplus);
            }
        }

        foreach (Instance instance in surplus)
        {
            End(instance);
        }
    }

    /// <summary>Stops those that have had no call for as long as the revision says, where they stand.</summary>
    public void Freeze()
    {
        lock (gate)
        {
            IdleInstances.Freeze(ready, settings.FreezeAfter, Now);
        }
    }

    /// <summary>Starts one instance now and returns when it is ready.</summary>
    /// <exception cref="BerthException">What keeps it from that.</exception>
    public async Task WarmAsync(CancellationToken cancellationToken)
    {
        lock (gate)
        {
            starting++;
            isTried = true;
        }

        if (await StartOneAsync().WaitAsync(cancellationToken) is { } fault)
        {
            throw fault;
        }
    }

    public PoolFigures Figures()
    {
        lock (gate)
        {
            return new PoolFigures(
                ready.Count(i => !i.IsDraining), starting, running, line.Count, settings, why,
                trouble?.Message);
        }
    }

    /// <summary>What the instances use now.</summary>
    public IReadOnlyList<(
        RunId Id, int Running, bool Draining, bool Frozen, Api.Nodes.AttemptFigures? Usage, string? Node)> Instances()
    {
        lock (gate)
        {
            return [.. ready.Select(i => (i.Id, i.Running, i.IsDraining, i.IsFrozen, i.Live.Measure(), i.Live.Node))];
        }
    }

    private Instance? Free() => InstanceChoice.Among(ready, service.Concurrency);

    /// <summary>For one call. The caller holds the gate.</summary>
    private void Take(Instance instance)
    {
        instance.Thaw();
        instance.Running++;
        running++;
    }

    private void Note() => load.Set(running + line.Count, Now);

    /// <summary>Gives free places to who waits. The caller holds the gate.</summary>
    private void Serve()
    {
        while (line.Count > 0 && Free() is { } free && line.TryTake(out Waiter? waiter))
        {
            // Before its caller goes on.
            free.Thaw();
            if (waiter!.Turn.TrySetResult(free))
            {
                Take(free);
            }
        }
    }

    private async Task<Instance> WaitAsync(Waiter waiter, CancellationToken cancellationToken)
    {
        await using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
            static (state, token) => ((Waiter)state!).Turn.TrySetCanceled(token), waiter);
        try
        {
            return await waiter.Turn.Task;
        }
        catch (OperationCanceledException)
        {
            lock (gate)
            {
                line.Remove(waiter.Place!);
                Note();
            }

            throw;
        }
    }

    /// <summary>The caller holds the gate.</summary>
    private void Grow(int missing, TimeSpan now)
    {
        foreach (Instance draining in ready.Where(i =>
            i is
            {
                IsDraining: true, IsGivenUp: false, IsLeaving: false, IsSilent: false, HasEnded: false, Running: > 0,
            })
            .Take(missing).ToArray())
        {
            draining.IsDraining = false;
            missing--;
        }

        Serve();
        if (now < restUntil)
        {
            return;
        }

        // While starts fail, one at a time is tried.
        missing = failures > 0 ? Math.Min(missing, starting > 0 ? 0 : 1) : missing;
        for (int i = 0; i < missing; i++)
        {
            starting++;
            // Not as a part of the call that happens to be waiting.
            using AsyncFlowControl alone = ExecutionContext.SuppressFlow();
            _ = Task.Run(StartOneAsync);
        }
    }

    /// <summary>The caller holds the gate.</summary>
    private void Shrink(int count, List<Instance> surplus)
    {
        foreach (Instance instance in ready.Where(i => i.IsOpen).OrderBy(i => i.Running)
            .ThenByDescending(i => i.IsFrozen).Take(count).ToArray())
        {
            instance.IsDraining = true;
            if (instance.Running == 0)
            {
                surplus.Add(instance);
            }
        }
    }

    /// <summary>Null when it is ready, else what kept it from that. Counted as starting before.</summary>
    private async Task<BerthException?> StartOneAsync()
    {
        long since = time.GetTimestamp();
        Instance? instance = null;
        try
        {
            using CancellationTokenSource limit = new(service.StartLimit, time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
                limit.Token, stopping.Token);
            instance = await start(either.Token);
            lock (gate)
            {
                lives.Add(instance.Live.Completion);
            }

            await instance.BecomeReadyAsync(name, since, stopping.Token);
            Admit(instance, time.GetElapsedTime(since));
            return null;
        }
        catch (Exception error)
        {
            return await FailAsync(instance, error);
        }
    }

    private void Admit(Instance instance, TimeSpan took)
    {
        bool late;
        lock (gate)
        {
            starting--;
            isTried = false;
            failures = 0;
            restUntil = TimeSpan.Zero;
            trouble = null;
            late = retired;
            instance.IdleSince = Now;
            ready.Add(instance);
            instance.IsDraining = late;
            if (!late)
            {
                Serve();
                Note();
            }
        }

        instance.Measure();
        Log.InstanceReady(logger, instance.Id, name, took.TotalMilliseconds);
        _ = WatchAsync(instance);
        if (late)
        {
            End(instance);
        }
        else
        {
            // More may wait than one instance takes.
            Scale();
        }
    }

    private async Task<BerthException> FailAsync(Instance? instance, Exception error)
    {
        if (instance is not null)
        {
            instance.Live.Stop(EndReason.PlatformFault);
            await instance.Live.Completion;
            Forget(instance);
        }

        BerthException fault = error as BerthException ?? new BerthException(
            error is OperationCanceledException ? ErrorCode.ShuttingDown : ErrorCode.NodeFault,
            error is OperationCanceledException
                ? $"No instance of {name} was started: the time for it is over, or the server stops."
                : $"No instance of {name} could be started: {error.Message}",
            error);
        List<Waiter> waiting = [];
        lock (gate)
        {
            starting--;
            isTried = false;
            failures++;
            trouble = fault;
            TimeSpan rest = FirstRest * Math.Pow(2, Math.Min(failures - 1, 10));
            restUntil = Now + (rest < LongestRest ? rest : LongestRest);
            // Who waits where nothing works and nothing is under way would wait for the deadline.
            while (HasNone && line.TryTake(out Waiter? waiter))
            {
                waiting.Add(waiter!);
            }

            Note();
        }

        if (!stopping.IsCancellationRequested)
        {
            Log.InstanceFailed(logger, name, fault.Message);
        }

        waiting.ForEach(w => w.Turn.TrySetException(PoolRefusal.Again(fault, FirstRest)));
        return fault;
    }

    private async Task WatchAsync(Instance instance)
    {
        RunEnd end = await instance.Live.Completion;
        bool expected;
        lock (gate)
        {
            expected = instance.IsDraining;
        }

        Forget(instance);
        if (!expected)
        {
            Log.InstanceEnded(logger, instance.Id, name, RunSentences.Word(end.Reason), end.Detail ?? "");
            Scale();
        }
    }

    private void Forget(Instance instance)
    {
        lock (gate)
        {
            ready.Remove(instance);
            lives.Remove(instance.Live.Completion);
        }

        instance.Dispose();
    }

    private void End(Instance instance) => instance.Live.Retire(retired ? "Its revision is not served here any more."
        : why);

    private sealed class Waiter
    {
        public TaskCompletionSource<Instance> Turn { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public FairLine<Waiter>.Place? Place { get; set; }
    }
}
