using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Scaling;

namespace Berth.Server.Instances;

/// <summary>
/// The memory that the instances of all functions have together. Each start takes its part before it begins, and waits
/// while there is none; what it takes is measured from then on. Who has to give way, <see cref="MemoryShare"/> says.
/// Its lock is taken before a pool's, never the other way round.
/// </summary>
internal sealed class InstanceMemory(ByteSize budget)
{
    private readonly Lock gate = new();
    private readonly Dictionary<InstancePool, Holding> holdings = [];
    private readonly LinkedList<Request> requests = new();
    private long used;

    /// <summary>Room for one more instance of a pool.</summary>
    /// <param name="each">Bytes that it is expected to take.</param>
    /// <exception cref="BerthException">QueueFull: there was none until the token was cancelled.</exception>
    public async Task<MemoryCharge> TakeAsync(InstancePool pool, long each, CancellationToken cancellationToken)
    {
        LinkedListNode<Request> request;
        lock (gate)
        {
            request = requests.AddLast(new Request(pool, each));
        }

        Review();
        try
        {
            return await request.Value.Turn.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            long taken;
            lock (gate)
            {
                taken = used;
                if (request.List is not null)
                {
                    requests.Remove(request);
                }
            }

            if (request.Value.Turn.Task.IsCompletedSuccessfully)
            {
                request.Value.Turn.Task.GetAwaiter().GetResult().Dispose();
            }

            throw new BerthException(
                ErrorCode.QueueFull,
                $"There was no memory for an instance of {pool.Name}: all instances have {ByteSize.FromBytes(taken)} "
                + $"of the {budget} that they may have together: send it again later, or raise instance-memory.")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            };
        }
    }

    /// <summary>Whether one more instance could begin at once.</summary>
    /// <param name="each">Bytes that it is expected to take.</param>
    public bool HasRoom(long each)
    {
        lock (gate)
        {
            return requests.Count == 0 && (used == 0 || used + each <= MemoryShare.Shared(budget.Bytes));
        }
    }

    /// <summary>Lets in whom there is room for, and has others give way. Where all together take more than they may, an
    /// idle instance goes.</summary>
    public void Review()
    {
        List<InstancePool> giving = [];
        lock (gate)
        {
            if (requests is { Count: 1, First: { } only } && used + only.Value.Each <= MemoryShare.Shared(budget.Bytes))
            {
                Grant(only);
            }
            else if (requests.Count > 0)
            {
                Share(giving);
            }

            if (used > budget.Bytes && giving.Count == 0)
            {
                Trim(giving);
            }
        }

        // Outside of the lock: an end may come at once.
        giving.ForEach(p => p.GiveUpOne());
    }

    internal void Change(MemoryCharge charge, long bytes)
    {
        lock (gate)
        {
            if (!charge.IsGone)
            {
                long more = bytes - charge.Bytes;
                charge.Bytes = bytes;
                holdings[charge.Pool].Bytes += more;
                used += more;
            }
        }
    }

    internal void Release(MemoryCharge charge)
    {
        lock (gate)
        {
            if (charge.IsGone)
            {
                return;
            }

            charge.IsGone = true;
            Holding holding = holdings[charge.Pool];
            holding.Bytes -= charge.Bytes;
            used -= charge.Bytes;
            if (--holding.Count == 0)
            {
                holdings.Remove(charge.Pool);
            }
        }

        Review();
    }

    /// <summary>First instances before others, then those of who has least. What a first one waits for, nobody else
    /// takes. The caller holds the gate.</summary>
    private void Share(List<InstancePool> giving)
    {
        InstancePool[] pools = [.. holdings.Keys];
        PoolMemory[] states = [.. pools.Select(p => p.Memory())];
        long leaving = states.Sum(s => s.Leaving);
        long busy = states.Sum(s => s.LeavingBusy);
        LinkedListNode<Request>[] asked =
        [
            .. Nodes().OrderBy(n => HoldingOf(n.Value.Pool).Count > 0).ThenBy(
                n => HoldingOf(n.Value.Pool).Bytes),
        ];
        foreach (LinkedListNode<Request> node in asked)
        {
            (InstancePool pool, long each) = (node.Value.Pool, node.Value.Each);
            Holding own = HoldingOf(pool);
            MemoryHolder[] others =
            [
                .. pools.Select((p, i) => p == pool
                    ? default
                    : new MemoryHolder(
                        HoldingOf(p).Bytes - states[i].Leaving, HoldingOf(p).Count - states[i].Ending, states[i].Idle)),
            ];
            PoolMemory state = pool.Memory();
            MemoryClaim claim = new(each, own.Bytes, own.Count - state.Ending, state.IsWaitedFor);
            MemoryVerdict verdict = MemoryShare.Decide(claim, others, used, leaving, busy, budget.Bytes);
            if (verdict.Step == MemoryStep.Start)
            {
                Grant(node);
            }
            else if (verdict.Step == MemoryStep.GiveUp && giving.Count == 0)
            {
                // One after the other: what it gives may be enough for several.
                giving.Add(pools[verdict.Holder]);
            }

            if (verdict.Step != MemoryStep.Start && claim is { Count: 0, IsWaitedFor: true })
            {
                return;
            }
        }
    }

    /// <summary>The caller holds the gate.</summary>
    private void Trim(List<InstancePool> giving)
    {
        (InstancePool Pool, PoolMemory State)[] states = [.. holdings.Keys.Select(p => (p, p.Memory()))];
        if (used - states.Sum(s => s.State.Leaving) > budget.Bytes
            && states.Where(s => s.State.Idle > 0).MaxBy(s => holdings[s.Pool].Bytes) is { Pool: { } richest })
        {
            giving.Add(richest);
        }
    }

    private void Grant(LinkedListNode<Request> node)
    {
        Request request = node.Value;
        requests.Remove(node);
        MemoryCharge charge = new(this, request.Pool) { Bytes = request.Each };
        if (!holdings.TryGetValue(request.Pool, out Holding? holding))
        {
            holdings.Add(request.Pool, holding = new Holding());
        }

        holding.Count++;
        holding.Bytes += request.Each;
        used += request.Each;
        request.Turn.SetResult(charge);
    }

    private IEnumerable<LinkedListNode<Request>> Nodes()
    {
        for (LinkedListNode<Request>? node = requests.First; node is not null; node = node.Next)
        {
            yield return node;
        }
    }

    private Holding HoldingOf(InstancePool pool) => holdings.GetValueOrDefault(pool) ?? Holding.None;

    private sealed class Holding
    {
        public static Holding None { get; } = new();

        public int Count { get; set; }

        public long Bytes { get; set; }
    }

    private sealed record Request(InstancePool Pool, long Each)
    {
        public TaskCompletionSource<MemoryCharge> Turn { get; } =
            new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>What one instance has of the memory of all. Disposing gives it back.</summary>
internal sealed class MemoryCharge(InstanceMemory memory, InstancePool pool) : IDisposable
{
    public InstancePool Pool => pool;

    /// <summary>Guarded by the memory's lock, as is <see cref="IsGone"/>.</summary>
    public long Bytes { get; set; }

    public bool IsGone { get; set; }

    /// <summary>What it takes now.</summary>
    public void Measure(long bytes) => memory.Change(this, bytes);

    public void Dispose() => memory.Release(this);
}

/// <summary>What a pool could give.</summary>
/// <param name="Idle">Instances without calls that its settings do not keep.</param>
/// <param name="Leaving">Bytes of those that end.</param>
/// <param name="LeavingBusy">Of those, bytes of the ones that have calls.</param>
/// <param name="Ending">How many end.</param>
/// <param name="IsWaitedFor">Whether a call or a deployment waits for an instance.</param>
internal readonly record struct PoolMemory(int Idle, long Leaving, long LeavingBusy, int Ending, bool IsWaitedFor);
