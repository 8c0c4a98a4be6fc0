using System.Collections.Concurrent;
using Berth.Core.Functions;
using Berth.Core.Rollouts;
using Berth.Server.Functions;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Rollouts;

/// <summary>Every second: judges each rollout under way by what its calls came to, and moves it on or back. What it
/// decides is durable before calls follow it; a server that was killed goes on with the step it was in.</summary>
internal sealed class RolloutPass(FunctionManager functions, RevisionMeters meters, TimeProvider time, ILogger logger)
{
    private const int TicksAMinute = 60;
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, RolloutWatch> watches = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<RolloutState, long> ended = new();

    /// <summary>Rollouts that it ended since the server started.</summary>
    public long Ended(RolloutState state) => ended.GetValueOrDefault(state);

    /// <summary>How a rollout under way is watched; null before the first look at its step.</summary>
    public RolloutWatch? Find(Function function) =>
        watches.TryGetValue(function.Name, out RolloutWatch? watch) && ReferenceEquals(watch.Rollout, function.Rollout)
            ? watch
            : null;

    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(Tick, time);
        try
        {
            for (int tick = 1; await timer.WaitForNextTickAsync(stop); tick++)
            {
                if (tick % TicksAMinute == 0)
                {
                    meters.Mark(key => functions.Find(key.Function)?.Record.Find(key.Number) is not null);
                }

                await LookAsync(stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task LookAsync(CancellationToken stop)
    {
        foreach ((string name, _) in watches)
        {
            if (functions.Find(name)?.Record.Rollout is not { IsUnderWay: true })
            {
                watches.TryRemove(name, out _);
            }
        }

        foreach (Function function in functions.RollingOut)
        {
            try
            {
                await LookAsync(function, stop);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Log.StepFailed(logger, function.Name, e);
            }
        }
    }

    private async Task LookAsync(Function function, CancellationToken stop)
    {
        if (Find(function) is not { } watch)
        {
            watches[function.Name] = new RolloutWatch(function, meters, time);
            return;
        }

        Rollout rollout = watch.Rollout;
        bool running = rollout.State == RolloutState.Running;
        RolloutWindow window = watch.Window;
        RolloutVerdict verdict = RolloutJudge.Judge(rollout.Plan, rollout.Revision, window, mayExpire: running);
        watch.Verdict = verdict;
        switch (verdict.Decision)
        {
            case RolloutDecision.Advance when !running:
                watch.Reopen();
                break;
            case RolloutDecision.Advance:
                TimeSpan? before = RolloutJudge.OldLatency(rollout.Plan, window);
                await ChangeAsync(
                    function, f => RolloutSteps.Advance(f, verdict.Sentence, time.GetUtcNow(), before), stop);
                break;
            case RolloutDecision.RollBack:
                await ChangeAsync(function, f => RolloutSteps.RollBack(f, verdict.Sentence, time.GetUtcNow()), stop);
                break;
        }
    }

    private async Task ChangeAsync(Function judged, Func<Function, Function> step, CancellationToken stop)
    {
        bool changed = false;
        FunctionEntry entry = await functions.ChangeAsync(
            judged.Name,
            function =>
            {
                // Somebody may have changed it meanwhile.
                changed = ReferenceEquals(function.Rollout, judged.Rollout);
                return changed ? step(function) : function;
            },
            stop);
        if (!changed)
        {
            return;
        }

        Rollout now = entry.Record.Rollout!;
        string detail = now.Events[^1].Detail;
        if (now.State == RolloutState.RolledBack)
        {
            Log.RolledBack(logger, judged.Name, now.Revision, detail);
        }
        else
        {
            Log.Advanced(logger, judged.Name, now.Revision, detail);
        }

        if (now.IsUnderWay)
        {
            // Whatever is called from now on counts for this step.
            watches[judged.Name] = new RolloutWatch(entry.Record, meters, time);
        }
        else
        {
            ended.AddOrUpdate(now.State, 1, static (_, count) => count + 1);
        }
    }
}
