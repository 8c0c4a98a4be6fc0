using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Pools;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Oci.Layers;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Pools;

/// <summary>
/// Sandboxes that stand ready, a shelf per shape, each used once. One worker per core makes them: first for starts that
/// wait, oldest first, then ahead of need as <see cref="PoolPolicy"/> says. Preparing ahead gives way to programs being
/// served, but never for longer than a moment.
/// </summary>
internal sealed partial class SandboxPools : IAsyncDisposable
{
    /// <summary>A refill waits at most this long for a quiet moment.</summary>
    private static readonly TimeSpan QuietPatience = TimeSpan.FromMilliseconds(25);

    /// <summary>Creations at once while callers wait: the kernel keeps each of them waiting now and then, which one to
    /// a core would leave unused.</summary>
    private const int WorkersPerCore = 2;
    private static readonly TimeSpan TrimPeriod = TimeSpan.FromSeconds(10);

    private readonly IEngine engine;
    private readonly IImageSource images;
    private readonly PoolLimits limits;
    private readonly Remover remover;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly Lock gate = new();
    private readonly Dictionary<SandboxSpec, Shelf> shelves = [];
    private readonly ConcurrentDictionary<string, ImageHandle> imagesInUse = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim work = new(0);
    private readonly CancellationTokenSource stopping = new();
    private readonly int cores;
    private readonly long epoch;
    private Task[] workers = [];
    private Task trimming = Task.CompletedTask;
    private long tickets;
    private int serving;
    private TimeSpan? refillHeldSince;
    private long prepared;
    private long faults;

    public SandboxPools(
        IEngine engine, IImageSource images, PoolLimits limits, Remover remover, int cores, TimeProvider time,
        ILogger logger)
    {
        this.engine = engine;
        this.images = images;
        this.limits = limits;
        this.remover = remover;
        this.cores = cores;
        this.time = time;
        this.logger = logger;
        epoch = time.GetTimestamp();
    }

    /// <summary>Sandboxes made since the start.</summary>
    public long Prepared => Interlocked.Read(ref prepared);

    /// <summary>Creations that failed since the start, but for those that the image is to blame for.</summary>
    public long Faults => Interlocked.Read(ref faults);

    private TimeSpan Now => time.GetElapsedTime(epoch);

    public void Start()
    {
        workers = [.. Enumerable.Range(0, WorkersPerCore * cores).Select(_ => Task.Run(WorkAsync))];
        trimming = Task.Run(TrimAsync);
    }

    public void Expect(SandboxSpec spec)
    {
        lock (gate)
        {
            ShelfOf(spec).NoteExpected(Now);
        }

        Wake();
    }

    /// <summary>A living sandbox, waiting for one to be made if none stands ready. The caller hands it to the remover
    /// through <see cref="GiveUp"/>.</summary>
    public async Task<TakenSandbox> TakeAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        Waiter waiter;
        RunLengths lengths;
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(stopping.IsCancellationRequested, this);
            Shelf shelf = ShelfOf(spec);
            lengths = shelf.Lengths;
            shelf.NoteStart(Now);
            while (shelf.Ready.TryDequeue(out ISandbox? ready))
            {
                if (ready.IsAlive)
                {
                    return new TakenSandbox(ready, imagesInUse[ready.Id].Config, true, lengths);
                }

                GiveUp(ready, closeStreams: true);
            }

            waiter = new Waiter(tickets++, new TaskCompletionSource<ISandbox>());
            shelf.Waiters.AddLast(waiter);
        }

        Wake();
        ISandbox made = await WaitAsync(spec, waiter, cancellationToken);
        return new TakenSandbox(made, imagesInUse[made.Id].Config, false, lengths);
    }

    /// <summary>A sandbox of its own kind, made for one start. Throws as <see cref="IEngine.PrepareAsync"/>.</summary>
    public async Task<TakenSandbox> MakeAsync(
        SandboxSpec spec, SandboxExtras extras, CancellationToken cancellationToken)
    {
        await remover.WaitForRoomAsync(cancellationToken);
        ImageHandle image = await images.OpenAsync(spec.Image, cancellationToken);
        ISandbox sandbox;
        try
        {
            sandbox = await engine.PrepareAsync(spec, image, extras, cancellationToken);
        }
        catch
        {
            image.Dispose();
            throw;
        }

        imagesInUse[sandbox.Id] = image;
        Interlocked.Increment(ref prepared);
        return new TakenSandbox(sandbox, image.Config, false);
    }

    /// <summary>Has a worker look for work. As many calls as there are workers are enough, however many come.</summary>
    private void Wake()
    {
        if (work.CurrentCount < workers.Length)
        {
            work.Release();
        }
    }

    /// <summary>Hands a sandbox over for removal; returns at once.</summary>
    public void GiveUp(ISandbox sandbox, bool closeStreams) => remover.Add(sandbox, closeStreams, () =>
    {
        if (imagesInUse.TryRemove(sandbox.Id, out ImageHandle? image))
        {
            image.Dispose();
        }
    });

    /// <summary>A program is being served from here until <see cref="EndServing"/>.</summary>
    public void BeginServing() => Interlocked.Increment(ref serving);

    public void EndServing()
    {
        if (Interlocked.Decrement(ref serving) == 0)
        {
            Wake();
        }
    }

    public IReadOnlyList<SandboxView> Views()
    {
        lock (gate)
        {
            return
            [
                .. shelves.Values.SelectMany(shelf => shelf.Ready.Select(
                    s => new SandboxView(s.Id, "ready", null, s.Spec.Image, s.Created))),
                .. shelves.Values.SelectMany(shelf => Enumerable.Range(0, shelf.Creating).Select(
                    _ => new SandboxView("", "preparing", null, shelf.Spec.Image, time.GetUtcNow()))),
            ];
        }
    }

    /// <summary>Ends waiting starts and hands every ready sandbox over for removal.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await Task.WhenAll(workers);
        await trimming;
        List<Waiter> left = [];
        lock (gate)
        {
            foreach (Shelf shelf in shelves.Values)
            {
                left.AddRange(shelf.Waiters);
                Empty(shelf, 0);
                shelf.Image?.Dispose();
            }

            shelves.Clear();
        }

        foreach (Waiter waiter in left)
        {
            waiter.Sandbox.TrySetException(new BerthException(ErrorCode.ShuttingDown, "The node is stopping."));
        }
    }

    private async Task<ISandbox> WaitAsync(SandboxSpec spec, Waiter waiter, CancellationToken cancellationToken)
    {
        try
        {
            return await waiter.Sandbox.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (gate)
            {
                if (shelves.TryGetValue(spec, out Shelf? shelf) && shelf.Waiters.Remove(waiter))
                {
                    throw;
                }
            }

            // It is served in the same moment; what it gets goes to the next one.
            await PassOnAsync(spec, waiter);
            throw;
        }
    }

    private async Task PassOnAsync(SandboxSpec spec, Waiter waiter)
    {
        try
        {
            Deliver(spec, await waiter.Sandbox.Task);
        }
        catch (BerthException)
        {
            // None was made for it.
        }
    }

    private Shelf ShelfOf(SandboxSpec spec)
    {
        if (!shelves.TryGetValue(spec, out Shelf? shelf))
        {
            shelf = new Shelf(spec);
            shelves.Add(spec, shelf);
        }

        return shelf;
    }

    /// <param name="note">Done in the same moment: a sandbox counted neither as being made nor as ready would be made
    /// once more.</param>
    private void Deliver(SandboxSpec spec, ISandbox sandbox, Action? note = null)
    {
        Waiter? waiter = null;
        lock (gate)
        {
            note?.Invoke();
            if (!stopping.IsCancellationRequested)
            {
                Shelf shelf = ShelfOf(spec);
                if (shelf.Waiters.First is not { } first)
                {
                    shelf.Ready.Enqueue(sandbox);
                    return;
                }

                waiter = first.Value;
                shelf.Waiters.RemoveFirst();
            }
        }

        // Its start goes on here, so not under the lock.
        if (waiter is null || !waiter.Sandbox.TrySetResult(sandbox))
        {
            GiveUp(sandbox, closeStreams: true);
        }
    }

    private async Task TrimAsync()
    {
        using var timer = new PeriodicTimer(TrimPeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                Trim();
                // A shelf whose refill rested after a failure may be due.
                Wake();
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>Removes what stands ready of shapes that there won't be any more.</summary>
    public void Forget(Func<SandboxSpec, bool> isGone)
    {
        lock (gate)
        {
            foreach (Shelf shelf in shelves.Values.Where(s => isGone(s.Spec)).ToArray())
            {
                shelf.NoteForgotten();
                Empty(shelf, 0);
            }
        }
    }

    private void Trim()
    {
        lock (gate)
        {
            IReadOnlyDictionary<SandboxSpec, int> targets = Targets(Now);
            foreach (Shelf shelf in shelves.Values.ToArray())
            {
                int target = targets.GetValueOrDefault(shelf.Spec);
                Empty(shelf, target);
                if (target == 0 && shelf.IsUnused)
                {
                    shelves.Remove(shelf.Spec);
                    shelf.Image?.Dispose();
                }
            }
        }
    }

    private void Empty(Shelf shelf, int target)
    {
        while (shelf.Ready.Count > target)
        {
            GiveUp(shelf.Ready.Dequeue(), closeStreams: true);
        }
    }
}
