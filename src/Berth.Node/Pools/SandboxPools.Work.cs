using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Pools;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Oci.Layers;

namespace Berth.Node.Pools;

/// <summary>The workers: which sandbox is made next, and how that ends.</summary>
internal sealed partial class SandboxPools
{
    private async Task WorkAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (Pick(out bool refillHeld) is { } shelf)
                {
                    await CreateAsync(shelf);
                    continue;
                }

                await work.WaitAsync(refillHeld ? QuietPatience : Timeout.InfiniteTimeSpan, stopping.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>
    /// The shelf to make the next sandbox for, counted as being made; null when there is nothing to do now.
    /// </summary>
    private Shelf? Pick(out bool refillHeld)
    {
        lock (gate)
        {
            Shelf? picked =
                shelves.Values.Where(s => s.Waiters.Count > s.Creating).MinBy(s => s.Waiters.First!.Value.Ticket)
                ?? PickRefill();
            refillHeld = picked is null && refillHeldSince is not null;
            if (picked is not null)
            {
                picked.Creating++;
                if (picked.Waiters.Count == 0)
                {
                    // There may be more to prepare, for another core too. Who waits has called a worker himself.
                    Wake();
                }
            }

            return picked;
        }
    }

    private Shelf? PickRefill()
    {
        if (!MayMakeAhead())
        {
            return null;
        }

        TimeSpan now = Now;
        IReadOnlyDictionary<SandboxSpec, int> targets = Targets(now);
        Shelf? wanted = shelves.Values
            .Where(s => s.MayRefill(now) && targets.GetValueOrDefault(s.Spec) > s.Ready.Count + s.Creating)
            .MaxBy(s => targets[s.Spec] - s.Ready.Count - s.Creating);
        if (wanted is null)
        {
            refillHeldSince = null;
            return null;
        }

        if (Volatile.Read(ref serving) > 0)
        {
            refillHeldSince ??= now;
            if (now - refillHeldSince < QuietPatience)
            {
                return null;
            }
        }

        refillHeldSince = null;
        return wanted;
    }

    /// <summary>Refills leave the cores that creations for waiting callers could use.</summary>
    private bool MayMakeAhead() => shelves.Values.Sum(s => s.Creating) < cores;

    private IReadOnlyDictionary<SandboxSpec, int> Targets(TimeSpan now) =>
        PoolPolicy.Plan([.. shelves.Values.Select(s => s.Demand)], limits, now);

    private async Task CreateAsync(Shelf shelf)
    {
        long begun = time.GetTimestamp();
        try
        {
            await remover.WaitForRoomAsync(stopping.Token);
            ImageHandle image = await ImageOfAsync(shelf);
            ISandbox sandbox;
            try
            {
                sandbox = await engine.PrepareAsync(
                    shelf.Spec, image, extras: null, stopping.Token);
            }
            catch
            {
                image.Dispose();
                throw;
            }

            imagesInUse[sandbox.Id] = image;
            Interlocked.Increment(ref prepared);
            Deliver(shelf.Spec, sandbox, () =>
            {
                shelf.Creating--;
                shelf.NoteCreated(time.GetElapsedTime(begun));
            });
        }
        catch (OperationCanceledException)
        {
            lock (gate)
            {
                shelf.Creating--;
            }
        }
        catch (Exception error)
        {
            Fail(shelf, error);
        }
    }

    /// <summary>A handle of the shelf's image, which is the caller's.</summary>
    private async Task<ImageHandle> ImageOfAsync(Shelf shelf)
    {
        lock (gate)
        {
            if (shelf.Image is { } open)
            {
                return open.Share();
            }
        }

        ImageHandle opened = await images.OpenAsync(shelf.Spec.Image, stopping.Token);
        lock (gate)
        {
            if (shelf.Image is null)
            {
                shelf.Image = opened;
                return opened.Share();
            }
        }

        return opened;
    }

    private void Fail(Shelf shelf, Exception error)
    {
        if (StartFault.ReasonOf(error) == EndReason.PlatformFault)
        {
            Interlocked.Increment(ref faults);
        }

        Waiter? waiter = null;
        TimeSpan pause;
        lock (gate)
        {
            shelf.Creating--;
            pause = shelf.NoteFailure(Now);
            if (shelf.Waiters.First is { } first)
            {
                waiter = first.Value;
                shelf.Waiters.RemoveFirst();
            }
        }

        if (waiter is null)
        {
            Log.RefillFailed(logger, shelf.Spec.Image.Short, pause, error);
            return;
        }

        if (error is not BerthException)
        {
            Log.CreationFailed(logger, shelf.Spec.Image.Short, error);
            error = new BerthException(ErrorCode.NodeFault, $"A sandbox could not be made: {error.Message}", error);
        }

        waiter.Sandbox.TrySetException(error);
    }
}
