using System.Collections.Concurrent;
using System.Threading.Channels;
using Berth.Node.Engines;

namespace Berth.Node.Pools;

/// <summary>
/// Removes sandboxes behind the callers' backs, a few at a time. Handing one over never waits; making new ones does
/// while too many are still to be removed, so that the machine can't fill up with the dead.
/// </summary>
internal sealed class Remover : IAsyncDisposable
{
    private const int Workers = 4;
    private const int MostWaiting = 256;

    private readonly Channel<(ISandbox Sandbox, bool CloseStreams, Action Removed)> queue =
        Channel.CreateUnbounded<(ISandbox, bool, Action)>();

    private readonly ConcurrentDictionary<string, ISandbox> waiting = new(StringComparer.Ordinal);
    private readonly Task[] workers;
    private volatile TaskCompletionSource room = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long removed;

    public Remover() => workers = [.. Enumerable.Range(0, Workers).Select(_ => Task.Run(WorkAsync))];

    public long Removed => Interlocked.Read(ref removed);

    public IEnumerable<ISandbox> Waiting => waiting.Values;

    /// <param name="closeStreams">Whether nobody reads from it any more.</param>
    /// <param name="then">Called once it is gone.</param>
    public void Add(ISandbox sandbox, bool closeStreams, Action then)
    {
        waiting[sandbox.Id] = sandbox;
        if (!queue.Writer.TryWrite((sandbox, closeStreams, then)))
        {
            throw new InvalidOperationException("A sandbox was handed over for removal after the node had stopped.");
        }
    }

    /// <summary>Returns when few enough are left to be removed.</summary>
    public async Task WaitForRoomAsync(CancellationToken cancellationToken)
    {
        while (waiting.Count >= MostWaiting)
        {
            Task freed = room.Task;
            if (waiting.Count >= MostWaiting)
            {
                await freed.WaitAsync(cancellationToken);
            }
        }
    }

    /// <summary>Removes what was handed over, then ends.</summary>
    public async ValueTask DisposeAsync()
    {
        queue.Writer.TryComplete();
        await Task.WhenAll(workers);
    }

    private async Task WorkAsync()
    {
        await foreach (
            (ISandbox sandbox, bool closeStreams, Action then) in queue.Reader.ReadAllAsync(CancellationToken.None))
        {
            if (closeStreams)
            {
                await sandbox.DisposeAsync();
            }
            else
            {
                await sandbox.RemoveAsync();
            }

            waiting.TryRemove(sandbox.Id, out _);
            Interlocked.Increment(ref removed);
            then();
            TaskCompletionSource full = room;
            room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            full.TrySetResult();
        }
    }
}
