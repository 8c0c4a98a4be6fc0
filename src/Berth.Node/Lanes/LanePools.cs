using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Pools;
using Berth.Node.Engines;
using Berth.Node.Linux;
using Berth.Node.Pools;

namespace Berth.Node.Lanes;

/// <summary>
/// Sandboxes that serve call after call, by shape. A call gets a place in one that has room, the one used last first,
/// so that those too many fall idle and go; where none has, it waits for the next place or for a sandbox that the pools
/// give, whichever comes first.
/// </summary>
internal sealed class LanePools : IAsyncDisposable
{
    private static readonly TimeSpan TrimPeriod = TimeSpan.FromSeconds(10);

    private readonly SandboxPools pools;
    private readonly PoolLimits limits;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private readonly Lock gate = new();
    private readonly Dictionary<SandboxSpec, LaneShelf> shelves = [];
    private readonly List<Task> creations = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly long epoch;
    private Task trimming = Task.CompletedTask;

    /// <param name="pools">Where its sandboxes come from, and go to when they are done.</param>
    public LanePools(SandboxPools pools, PoolLimits limits, ReadinessPoller poller, TimeProvider time)
    {
        this.pools = pools;
        this.limits = limits;
        this.poller = poller;
        this.time = time;
        epoch = time.GetTimestamp();
    }

    private TimeSpan Now => time.GetElapsedTime(epoch);

    public void Start() => trimming = Task.Run(TrimAsync);

    /// <summary>A place in a sandbox of this shape, which says how many calls it may have. Throws as
    /// <see cref="SandboxPools.TakeAsync"/>. The caller hands it to <see cref="GiveBack"/>.</summary>
    public async Task<TakenSandbox> TakeAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        LinkedListNode<TaskCompletionSource<Place>>? waiter = Enter(spec, out Place place);
        if (waiter is not null)
        {
            place = await WaitAsync(spec, waiter, cancellationToken);
        }

        WarmSandbox home = place.Home;
        ILane? lane = place.Lane;
        try
        {
            lane ??= await home.Sandbox.OpenLaneAsync(cancellationToken);
            return new TakenSandbox(
                new LaneSandbox(home, lane, poller), home.Taken.Image, waiter is null || home.Taken.Prepared,
                home.Taken.Lengths);
        }
        catch
        {
            Leave(home, () => home.Leave(lane, isSound: false, Now));
            throw;
        }
    }

    /// <summary>After a call, or a start that failed.</summary>
    /// <param name="closeStreams">Whether nobody reads from it any more.</param>
    public void GiveBack(LaneSandbox call, bool closeStreams)
    {
        if (!call.EndedWell)
        {
            // It may run still: its start was given up.
            call.Kill();
        }

        if (closeStreams)
        {
            call.Streams.Dispose();
        }

        Leave(call.Home, () => call.Home.Leave(call, Now));
    }

    public IReadOnlyList<SandboxView> Views()
    {
        lock (gate)
        {
            return
            [
                .. shelves.Values.SelectMany(s => s.Homes).Where(h => h.Running == 0).Select(h => new SandboxView(
                    h.Sandbox.Id, "ready", null, h.Sandbox.Spec.Image, h.Sandbox.Created)),
            ];
        }
    }

    /// <summary>Ends waiting starts and hands every idle sandbox over for removal; the others follow with their last
    /// call.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await trimming;
        Task[] left;
        List<WarmSandbox> due = [];
        lock (gate)
        {
            left = [.. creations];
            foreach (LaneShelf shelf in shelves.Values)
            {
                while (shelf.Waiters.Count > 0)
                {
                    shelf.FailFirst(new BerthException(ErrorCode.ShuttingDown, "The node is stopping."));
                }

                due.AddRange(shelf.TakeOut(_ => true));
            }
        }

        Remove(due);
        await Task.WhenAll(left);
    }

    /// <summary>Null with a place, or who waits for one.</summary>
    private LinkedListNode<TaskCompletionSource<Place>>? Enter(SandboxSpec spec, out Place place)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(stopping.IsCancellationRequested, this);
            if (!shelves.TryGetValue(spec, out LaneShelf? shelf))
            {
                shelf = new LaneShelf(spec);
                shelves.Add(spec, shelf);
            }

            shelf.LastUsed = Now;
            if (shelf.TryEnter(out place))
            {
                return null;
            }

            LinkedListNode<TaskCompletionSource<Place>> waiter = shelf.Waiters.AddLast(
                new TaskCompletionSource<Place>(TaskCreationOptions.RunContinuationsAsynchronously));
            if (shelf.Waiters.Count > shelf.Creating * spec.Reuse!.Value)
            {
                shelf.Creating++;
                creations.RemoveAll(c => c.IsCompleted);
                creations.Add(Task.Run(() => CreateAsync(shelf)));
            }

            return waiter;
        }
    }

    private async Task CreateAsync(LaneShelf shelf)
    {
        try
        {
            TakenSandbox taken = await pools.TakeAsync(shelf.Spec, stopping.Token);
            lock (gate)
            {
                shelf.Creating--;
                if (!stopping.IsCancellationRequested)
                {
                    shelf.Add(new WarmSandbox(taken, shelf.Spec.Reuse!.Value, Now));
                    shelf.Serve();
                    return;
                }
            }

            pools.GiveUp(taken.Sandbox, closeStreams: true);
        }
        catch (Exception error)
        {
            lock (gate)
            {
                shelf.Creating--;
                shelf.FailFirst(error);
            }
        }
    }

    private async Task<Place> WaitAsync(
        SandboxSpec spec, LinkedListNode<TaskCompletionSource<Place>> waiter, CancellationToken cancellationToken)
    {
        Task<Place> waiting = waiter.Value.Task;
        try
        {
            return await waiting.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (gate)
            {
                if (waiter.List is not null)
                {
                    shelves[spec].Waiters.Remove(waiter);
                    throw;
                }
            }

            // It was served in the same moment; what it got goes to the next one.
            if (waiting.IsCompletedSuccessfully)
            {
                Place place = await waiting;
                Leave(place.Home, () => place.Home.Leave(place.Lane, isSound: true, Now));
            }

            throw;
        }
    }

    private void Leave(WarmSandbox home, Action leave)
    {
        lock (gate)
        {
            LaneShelf shelf = shelves[home.Sandbox.Spec];
            leave();
            if (stopping.IsCancellationRequested)
            {
                home.Replace();
            }

            if (!home.IsDone)
            {
                shelf.Offer(home);
                shelf.Serve();
                return;
            }

            shelf.Homes.Remove(home);
        }

        Remove([home]);
    }

    private async Task TrimAsync()
    {
        using var timer = new PeriodicTimer(TrimPeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                Remove(Trim());
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>The last of a shape goes when the shape is not used any more, the others after a minute; and of all
    /// idle ones those used longest ago where there are too many.</summary>
    private List<WarmSandbox> Trim()
    {
        lock (gate)
        {
            TimeSpan now = Now;
            int kept = 0;
            List<WarmSandbox> due = [];
            foreach (LaneShelf shelf in shelves.Values.OrderByDescending(s => s.LastUsed).ToArray())
            {
                WarmSandbox? newest = shelf.Homes.MaxBy(h => h.IdleSince);
                due.AddRange(shelf.TakeOut(home =>
                    !home.Sandbox.IsAlive
                    || now - home.IdleSince > (home == newest ? limits.IdleExpiry : ReusePolicy.SpareExpiry)
                    || ++kept > limits.MostReadyTogether));
                if (shelf.IsUnused)
                {
                    shelves.Remove(shelf.Spec);
                }
            }

            return due;
        }
    }

    private void Remove(List<WarmSandbox> due)
    {
        foreach (WarmSandbox home in due)
        {
            pools.GiveUp(home.Sandbox, closeStreams: true);
        }
    }
}
