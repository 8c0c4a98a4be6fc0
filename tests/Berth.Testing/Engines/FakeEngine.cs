using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Node.Linux;
using Berth.Oci.Layers;

namespace Berth.Testing.Engines;

/// <summary>
/// An engine without containers: a sandbox is nothing until its program starts, which is a plain process of this
/// machine. It keeps the contract of <see cref="IEngine"/> as far as that goes without isolation, and does what tests
/// of pools ask: holds creations, fails them, counts them.
/// </summary>
public sealed class FakeEngine(TimeProvider time) : IEngine
{
    private readonly ReadinessPoller poller = new();
    private readonly ConcurrentDictionary<string, FakeSandbox> living = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<Exception> faults = new();
    private readonly Lock gate = new();
    private TaskCompletionSource? hold;
    private int creating;

    public string Name => "fake";

    public int CgroupVersion => 2;

    public IReadOnlyCollection<FakeSandbox> Living => [.. living.Values];

    /// <summary>Sandboxes being made now.</summary>
    public int Creating => Volatile.Read(ref creating);

    /// <summary>Sandboxes ever made.</summary>
    public int Created { get; private set; }

    /// <summary>The next creation throws this.</summary>
    public void FailNext(Exception fault) => faults.Enqueue(fault);

    /// <summary>Creations wait until the returned action is called.</summary>
    public Action HoldCreations()
    {
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        hold = held;
        return () =>
        {
            hold = null;
            held.TrySetResult();
        };
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task<ISandbox> PrepareAsync(
        SandboxSpec spec, ImageHandle image, SandboxExtras? extras, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Interlocked.Increment(ref creating);
        try
        {
            if (hold is { } held)
            {
                await held.Task.WaitAsync(cancellationToken);
            }

            if (faults.TryDequeue(out Exception? fault))
            {
                throw fault;
            }

            var sandbox = new FakeSandbox(
                RunId.New(time.GetUtcNow()).Text, spec, time.GetUtcNow(), poller, gone =>
                    living.TryRemove(gone.Id, out _));
            living[sandbox.Id] = sandbox;
            lock (gate)
            {
                Created++;
            }

            return sandbox;
        }
        finally
        {
            Interlocked.Decrement(ref creating);
        }
    }

    public Task<int> SweepAsync(CancellationToken cancellationToken) => Task.FromResult(0);

    public async ValueTask DisposeAsync()
    {
        foreach (FakeSandbox sandbox in living.Values)
        {
            await sandbox.DisposeAsync();
        }

        poller.Dispose();
    }

    /// <summary>A fault of the machine, as an engine reports one.</summary>
    public static BerthException MachineFault(string message) => new(ErrorCode.NodeFault, message);
}
