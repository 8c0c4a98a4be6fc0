using Berth.Core.Runs;
using Berth.Server.Runs;

namespace Berth.Server.Instances;

/// <summary>The part of a pool that is about its end.</summary>
internal sealed partial class InstancePool
{
    /// <summary>Takes no more calls; lets those under way end, up to <paramref name="drain"/>, then ends all instances.
    /// Completes when they are gone.</summary>
    public async Task RetireAsync(TimeSpan drain, EndReason reason, CancellationToken cancellationToken)
    {
        Instance[] idle;
        List<Waiter> waiting = [];
        lock (gate)
        {
            retired = true;
            while (line.TryTake(out Waiter? waiter))
            {
                waiting.Add(waiter!);
            }

            ready.ForEach(i => i.IsDraining = true);
            idle = [.. ready.Where(i => i.Running == 0)];
        }

        waiting.ForEach(w => w.Turn.TrySetException(CallStart.ShuttingDown(null)));
        await stopping.CancelAsync();
        foreach (Instance instance in idle)
        {
            End(instance);
        }

        Task all = AllEndedAsync();
        using (CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
        {
            await Task.WhenAny(all, Task.Delay(drain, time, limit.Token));
            await limit.CancelAsync();
        }

        Instance[] left;
        lock (gate)
        {
            left = [.. ready];
        }

        foreach (Instance instance in left)
        {
            instance.Live.Stop(reason);
        }

        await all;
    }

    private async Task AllEndedAsync()
    {
        while (true)
        {
            Task[] living;
            lock (gate)
            {
                if (starting == 0 && lives.Count == 0)
                {
                    return;
                }

                living = [.. lives];
            }

            await Task.WhenAll(living);
            await Task.Delay(EndPause, time);
        }
    }
}
