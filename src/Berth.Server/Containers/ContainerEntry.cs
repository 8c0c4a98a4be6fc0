using Berth.Core.Containers;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>A container as this server holds it: its record as stored, and its program while there is one.</summary>
internal sealed class ContainerEntry(Container record, TimeProvider time)
{
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Container record = record;

    /// <summary>Held by whoever takes the container a step on. What may take long is not awaited with it.</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    public Container Record => record;

    /// <summary>Null while no program runs.</summary>
    public LiveContainer? Live { get; set; }

    public HealthReport? Health { get; set; }

    public ContainerBroadcast Broadcast { get; } = new(time);

    /// <summary>Ends the wait for the next start.</summary>
    public CancellationTokenSource? Waiting { get; set; }

    /// <summary>What it has on another node while it waits for its next start; null for nothing.</summary>
    public NodeFleet.InstancePlace? Room { get; set; }

    public bool Removed { get; private set; }

    /// <summary>Completes at the next change of the record. Take it before looking at the record.</summary>
    public Task Changed => Volatile.Read(ref changed).Task;

    public void Become(Container next)
    {
        record = next;
        Wake();
    }

    public void Remove()
    {
        Removed = true;
        Wake();
    }

    public async Task<IDisposable> EnterAsync(CancellationToken cancellationToken)
    {
        await Gate.WaitAsync(cancellationToken);
        return new Turn(Gate);
    }

    /// <summary>The container once no program of it runs and none is about to, or as it is after
    /// <paramref name="limit"/>; null once it is removed.</summary>
    public async Task<Container?> EndedAsync(TimeSpan limit, CancellationToken cancellationToken)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task timer = Task.Delay(limit, time, over.Token);
        while (true)
        {
            Task next = Changed;
            if (Removed)
            {
                return null;
            }

            if (Record.State is ContainerState.Created or ContainerState.Exited
                || await Task.WhenAny(next, timer) == timer)
            {
                await over.CancelAsync();
                cancellationToken.ThrowIfCancellationRequested();
                return Record;
            }
        }
    }

    private void Wake() => Interlocked.Exchange(
        ref changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();

    private sealed class Turn(SemaphoreSlim gate) : IDisposable
    {
        public void Dispose() => gate.Release();
    }
}

public enum HealthStatus
{
    /// <summary>No check has succeeded yet.</summary>
    Starting,
    Healthy,
    Unhealthy,
}

/// <param name="Failures">In a row, up to now.</param>
/// <param name="Checks">The newest few, oldest first.</param>
public sealed record HealthReport(HealthStatus Status, int Failures, IReadOnlyList<HealthResult> Checks);

/// <param name="ExitCode">Null when it did not end in time or could not be run.</param>
/// <param name="Output">The beginning of what it wrote.</param>
public sealed record HealthResult(DateTimeOffset At, TimeSpan Took, int? ExitCode, string Output);
