using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Node.Engines;
using Berth.Oci.Layers;

namespace Berth.Node.Inner;

/// <summary>The outer containers of this node, one for each shape of sandbox that belongs to a family: made with the
/// first sandbox, removed some time after the last.</summary>
/// <param name="makeAsync">Makes one; the image handle becomes its own, also where that fails.</param>
internal sealed class OuterContainers(
    Func<SandboxSpec, ImageHandle, CancellationToken, Task<OuterContainer>> makeAsync, TimeProvider time)
    : IAsyncDisposable
{
    /// <summary>An idle one costs as much memory as a parked sandbox; without it the next call would wait.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock gate = new();
    private readonly Dictionary<SandboxSpec, Entry> entries = [];

    /// <summary>A sandbox in the container of its shape. Throws as <see cref="IEngine.PrepareAsync"/>.</summary>
    public async Task<ISandbox> PrepareAsync(
        SandboxSpec spec, ImageHandle image, CancellationToken cancellationToken)
    {
        OuterContainer outer = await HoldAsync(spec, image, cancellationToken);
        // Releases it, also where it fails.
        return await outer.MakeSandboxAsync(cancellationToken);
    }

    /// <summary>Removes those that nobody needs any more, and what is left of those that died.</summary>
    public async Task SweepAsync()
    {
        foreach (OuterContainer outer in TakeOut(o =>
            o.IdleSince is { } since && (!o.IsAlive || time.GetUtcNow() - since > Patience)))
        {
            await outer.RemoveAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Entry[] left;
        lock (gate)
        {
            left = [.. entries.Values];
            entries.Clear();
        }

        foreach (Entry entry in left)
        {
            try
            {
                // One that is being made is waited for: who asked for it may have gone.
                await (await entry.Made).RemoveAsync();
            }
            catch (BerthException)
            {
                // Then there is nothing to remove.
            }
        }
    }

    private async Task<OuterContainer> HoldAsync(
        SandboxSpec spec, ImageHandle image, CancellationToken cancellationToken)
    {
        while (true)
        {
            Entry entry;
            lock (gate)
            {
                if (!entries.TryGetValue(spec, out entry!))
                {
                    // Not the caller's token: others may wait for the same.
                    entry = new Entry(() => makeAsync(spec, image.Share(), CancellationToken.None));
                    entries.Add(spec, entry);
                }
            }

            OuterContainer outer;
            try
            {
                outer = await entry.Made.WaitAsync(cancellationToken);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                Forget(spec, entry);
                throw;
            }

            lock (gate)
            {
                if (outer.IsAlive && entries.GetValueOrDefault(spec) == entry)
                {
                    outer.Hold();
                    return outer;
                }
            }

            if (Forget(spec, entry))
            {
                await outer.RemoveAsync();
            }
        }
    }

    private bool Forget(SandboxSpec spec, Entry entry)
    {
        lock (gate)
        {
            return entries.GetValueOrDefault(spec) == entry && entries.Remove(spec);
        }
    }

    private List<OuterContainer> TakeOut(Func<OuterContainer, bool> isDue)
    {
        lock (gate)
        {
            List<OuterContainer> due = [];
            foreach ((SandboxSpec spec, Entry entry) in entries.ToArray())
            {
                if (entry.Container is { } outer && isDue(outer))
                {
                    entries.Remove(spec);
                    due.Add(outer);
                }
            }

            return due;
        }
    }

    private sealed class Entry
    {
        private volatile OuterContainer? container;

        public Entry(Func<Task<OuterContainer>> makeAsync) => Made = MakeAsync(makeAsync);

        public Task<OuterContainer> Made { get; }

        /// <summary>Null until it is made.</summary>
        public OuterContainer? Container => container;

        private async Task<OuterContainer> MakeAsync(Func<Task<OuterContainer>> makeAsync) =>
            container = await makeAsync();
    }
}
