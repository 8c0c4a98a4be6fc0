using System.Collections.Concurrent;
using System.Globalization;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Lambda;
using Berth.Server.Nodes;
using Berth.Server.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Instances;

/// <summary>The instances of all revisions that have some: a pool for each that was called or keeps some ready,
/// brought to size every other second and whenever a call has to wait.</summary>
/// <param name="runtimeApi">Becomes this object's own.</param>
internal sealed class InstanceManager(
    FunctionManager functions, RunManager runs, RuntimeApi runtimeApi, InstanceMemory memory, TimeProvider time,
    ILogger<InstanceManager> logger)
    : IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<(string Function, int Revision), InstancePool> pools = new();
    private readonly ConcurrentDictionary<Task, bool> retiring = new();

    /// <summary>Pools of trials, by what they try: a revision that comes to be meanwhile has its own already.</summary>
    private readonly ConcurrentDictionary<FunctionSpec, InstancePool> trials = new(ReferenceEqualityComparer.Instance);
    private readonly CancellationTokenSource stopping = new();
    private Task passes = Task.CompletedTask;

    internal ILogger Logger => logger;

    /// <summary>Begins to keep the instances that are kept without calls.</summary>
    public void Start()
    {
        functions.Changed = Follow;
        foreach (FunctionEntry entry in functions.All)
        {
            Follow(entry.Record.Name, entry.Record);
        }

        passes = Task.Run(PassesAsync);
    }

    /// <summary>Null where there is none: nothing was called yet.</summary>
    public InstancePool? Find(string function, int revision) => pools.GetValueOrDefault((function, revision));

    public InstancePool Of(Function function, Revision revision)
    {
        if (pools.TryGetValue((function.Name, revision.Number), out InstancePool? pool))
        {
            return pool;
        }

        InstancePool made = trials.GetValueOrDefault(revision.Spec) ?? Make(function.Name, revision);
        made.IsRouted = IsRouted(function, revision);
        return pools.GetOrAdd((function.Name, revision.Number), made);
    }

    /// <summary>Starts one instance of what shall be a revision, and gives it to the revision afterwards. Throws what
    /// keeps it from taking calls.</summary>
    public async Task<InstanceTrial> TryAsync(
        string function, Revision revision, CancellationToken cancellationToken)
    {
        InstancePool pool = Make(function, revision);
        InstanceTrial trial = new(this, pool, function, revision);
        try
        {
            await pool.WarmAsync(cancellationToken);
            trials[revision.Spec] = pool;
            return trial;
        }
        catch
        {
            await trial.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes in that nodes have come, gone or changed, at once.</summary>
    public void Review()
    {
        foreach (InstancePool pool in pools.Values)
        {
            pool.Hope();
            Pass(pool, static (manager, pool) =>
            {
                manager.Settle(pool);
                pool.Scale();
            });
        }
    }

    /// <summary>Ends all: calls under way get <paramref name="drain"/>. Idempotent.</summary>
    public async Task StopAsync(TimeSpan drain, CancellationToken cancellationToken)
    {
        functions.Changed = null;
        await stopping.CancelAsync();
        await passes;
        await Task.WhenAll(
            [.. pools.Values.Select(p => p.RetireAsync(drain, EndReason.PlatformFault, cancellationToken)),
             .. retiring.Keys]);
    }

    /// <summary>After <see cref="StopAsync"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        await runtimeApi.DisposeAsync();
        stopping.Dispose();
    }

    /// <summary>Whether the trial's pool is the revision's from now on.</summary>
    internal bool Adopt(Function function, Revision revision, InstancePool pool)
    {
        pool.IsRouted = IsRouted(function, revision);
        return !stopping.IsCancellationRequested && pools.GetOrAdd((function.Name, revision.Number), pool) == pool;
    }

    /// <summary>Nothing is tried by it any more.</summary>
    internal void Forget(Revision tried) => trials.TryRemove(tried.Spec, out _);

    internal void Retire(InstancePool pool, TimeSpan drain)
    {
        Task retired = pool.RetireAsync(drain, EndReason.Canceled, CancellationToken.None);
        retiring[retired] = true;
        _ = retired.ContinueWith(
            (task, _) => retiring.TryRemove(task, out bool _), null, CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>What a revision's program is told, and how its run is found.</summary>
    private static RunSpec SpecOf(string function, Revision revision)
    {
        RunSpec own = revision.Spec.Run;
        string number = revision.Number.ToString(CultureInfo.InvariantCulture);
        ServiceSpec service = revision.Spec.Service!;
        Dictionary<string, string> environment = new()
        {
            ["K_SERVICE"] = function,
            ["K_CONFIGURATION"] = function,
            ["K_REVISION"] = $"{function}-{revision.Number:00000}",
            ["BERTH_FUNCTION"] = function,
            ["BERTH_REVISION"] = number,
        };
        foreach ((string variable, string value) in own.Environment)
        {
            environment[variable] = value;
        }

        if (service.Lambda is { } lambda)
        {
            LambdaEnvironment.Add(environment, function, revision.Number, own, lambda);
        }
        else
        {
            environment["PORT"] = service.Port.ToString(CultureInfo.InvariantCulture);
        }

        return own with
        {
            Environment = environment,
            Labels = new Dictionary<string, string>(own.Labels)
            {
                [FunctionLabels.Function] = function,
                [FunctionLabels.Revision] = number,
            },
            Timeout = RunSpec.Unlimited,
            MaxAge = null,
        };
    }

    private InstancePool Make(string function, Revision revision)
    {
        RunSpec spec = SpecOf(function, revision);
        InstancePool made = null!;
        return made = new InstancePool(
            $"function '{function}' (revision {revision.Number})", revision.Spec.Service!, revision.Spec.MaxWaiting,
            token => StartAsync(made, spec, revision, token), () => runs.Rooms.Fleet?.CouldTake(spec) != false, time,
            logger);
    }

    private async Task<Instance> StartAsync(
        InstancePool pool, RunSpec spec, Revision revision, CancellationToken cancellationToken)
    {
        ServiceSpec service = revision.Spec.Service!;
        int? listen = service.Lambda is null ? null : service.Port;
        long expected = pool.Expected(spec.Limits.Memory.Bytes);
        MemoryCharge? charge = null;
        OwnRoom room = new(
            () => memory.HasRoom(expected),
            async token => charge = await memory.TakeAsync(pool, expected, token));
        try
        {
            LiveInstance live = await runs.StartInstanceAsync(spec, listen, revision.Caller, room, cancellationToken);
            RuntimeSession? session = service.Lambda is null ? null : await runtimeApi.AttachAsync(live);
            return new Instance(live, service, session, charge, time);
        }
        catch
        {
            charge?.Dispose();
            throw;
        }
    }

    /// <summary>While a rollout may still go back, so are those it came from.</summary>
    private static bool IsRouted(Function function, Revision revision) =>
        function.Traffic.Shares.Any(s => s.Revision == revision.Number)
        || (function.Rollout is { IsUnderWay: true } rollout
            && rollout.Before.Shares.Any(s => s.Revision == revision.Number));

    /// <summary>A function has changed, or is gone.</summary>
    private void Follow(string name, Function? function)
    {
        foreach ((string of, int number) in pools.Keys)
        {
            if (of == name && function?.Find(number) is null
                && pools.TryRemove((of, number), out InstancePool? pool))
            {
                Retire(pool, TimeSpan.FromMinutes(1));
            }
        }

        foreach (Revision revision in function?.Revisions ?? [])
        {
            if (revision.Spec.Service is not { } service)
            {
                continue;
            }

            bool routed = IsRouted(function!, revision);
            InstancePool? pool = routed && service.Scale.KeepsSome
                ? Of(function!, revision)
                : Find(name, revision.Number);
            if (pool is not null)
            {
                pool.IsRouted = routed;
                pool.Rescale(service.Scale);
            }
        }
    }

    private async Task PassesAsync()
    {
        using PeriodicTimer timer = new(Period, time);
        try
        {
            do
            {
                foreach (InstancePool pool in pools.Values)
                {
                    Pass(pool, static (manager, pool) =>
                    {
                        pool.Measure();
                        manager.Settle(pool);
                        pool.Scale();
                        pool.Freeze();
                    });
                }

                memory.Review();
            }
            while (await timer.WaitForNextTickAsync(stopping.Token));
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private void Settle(InstancePool pool)
    {
        if (runs.Rooms.Fleet is { } fleet)
        {
            pool.Settle(fleet.StateOf);
        }
    }

    private void Pass(InstancePool pool, Action<InstanceManager, InstancePool> step)
    {
        try
        {
            step(this, pool);
        }
        catch (Exception error)
        {
            Log.PassFailed(logger, error);
        }
    }
}

/// <summary>An instance that was started to see whether a revision works. Disposing ends it, unless it was adopted.
/// </summary>
internal sealed class InstanceTrial(
    InstanceManager manager, InstancePool pool, string name, Revision tried) : IAsyncDisposable
{
    private bool adopted;

    /// <summary>The instance is the first of the newest revision, where that is what was tried.</summary>
    public void Adopt(Function function)
    {
        adopted = function.Newest.Number == tried.Number && ReferenceEquals(function.Newest.Spec, tried.Spec)
            && manager.Adopt(function, function.Newest, pool);
        if (!adopted)
        {
            Log.TrialDropped(manager.Logger, name, tried.Number);
        }
    }

    public async ValueTask DisposeAsync()
    {
        manager.Forget(tried);
        if (!adopted && manager.Find(name, tried.Number) != pool)
        {
            await pool.RetireAsync(TimeSpan.Zero, EndReason.Canceled, CancellationToken.None);
        }
    }
}
