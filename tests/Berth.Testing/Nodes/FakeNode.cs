using System.Collections.Concurrent;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;

namespace Berth.Testing.Nodes;

/// <summary>
/// A node without containers: it runs the few programs of <see cref="FakeShell"/> in memory and keeps the contract of
/// <see cref="INode"/> (the same suite runs against it and the real one). An image without a command runs <c>cat</c>.
/// Tests steer it: missing images, faults on start, faults of the machine, a gate that holds every start.
/// </summary>
public sealed class FakeNode(TimeProvider time, string name = "fake") : INode
{
    private readonly ConcurrentDictionary<string, FakeAttempt> running = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<Exception> startFaults = new();
    private readonly ConcurrentQueue<string> machineFaults = new();
    private readonly ConcurrentQueue<int> unheardEnds = new();
    private readonly ConcurrentQueue<AttemptSpec> started = new();
    private readonly ConcurrentDictionary<Digest, bool> missing = new();
    private readonly FakeStorage storage = new(time);
    private volatile TaskCompletionSource? gate;
    private volatile bool accepting;
    private long taken;
    private volatile int most;
    private long removed;
    private long faults;

    public NodeInfo Info { get; private init; } = new(name, 2, ByteSize.GiB(4), "fake", 2);

    /// <summary>Of the machine, that may be put into sandboxes.</summary>
    public IReadOnlyList<string> HostFolders
    {
        get => Info.HostFolders;
        init => Info = Info with { HostFolders = value };
    }

    public INodeStorage Storage => storage;

    /// <summary>Every attempt ever started, in order.</summary>
    public IReadOnlyList<AttemptSpec> Started => [.. started];

    /// <summary>Shapes that were announced by <see cref="Expect"/>.</summary>
    public ConcurrentQueue<SandboxSpec> Expected { get; } = new();

    /// <summary>The attempts whose programs run now.</summary>
    public int Running => running.Count;

    /// <summary>The most whose programs ran at once.</summary>
    public int MostRunning => most;

    /// <summary>Attempts that stand still.</summary>
    public int Paused => running.Values.Count(a => a.IsPaused);

    /// <summary>The next start throws this.</summary>
    public void FailNextStart(Exception fault) => startFaults.Enqueue(fault);

    /// <summary>The next started attempt ends at once with PlatformFault and this detail.</summary>
    public void FailNextMachine(string detail) => machineFaults.Enqueue(detail);

    /// <summary>The next started attempt has ended by the time it is asked for one connection more than these: its
    /// machine knows it and refuses, and tells the end after that.</summary>
    public void EndNextUnheard(int connections = 1) => unheardEnds.Enqueue(connections);

    /// <summary>StartAsync of this image throws ImageNotFound from now on.</summary>
    public void ForgetImage(Digest image) => missing[image] = true;

    /// <summary>Holds every start until the returned action is called.</summary>
    public Action HoldStarts()
    {
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        gate = held;
        return () =>
        {
            gate = null;
            held.TrySetResult();
        };
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        accepting = true;
        return Task.CompletedTask;
    }

    public void Expect(SandboxSpec spec) => Expected.Enqueue(spec);

    public async Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (!accepting)
        {
            throw new BerthException(ErrorCode.NodeFault, "Node 'fake' accepts no attempts: it is not started.");
        }

        if (gate is { } held)
        {
            await held.Task.WaitAsync(cancellationToken);
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (startFaults.TryDequeue(out Exception? fault))
        {
            Interlocked.Increment(ref faults);
            throw fault;
        }

        if (missing.ContainsKey(spec.Sandbox.Image))
        {
            throw new BerthException(ErrorCode.ImageNotFound, $"There is no image {spec.Sandbox.Image}.");
        }

        if (spec.Extras is { } extras)
        {
            storage.Use(extras);
        }

        started.Enqueue(spec);
        Interlocked.Increment(ref taken);
        machineFaults.TryDequeue(out string? machineFault);
        var attempt = new FakeAttempt(spec, time, machineFault, Forget)
        {
            Connections = unheardEnds.TryDequeue(out int connections) ? connections : int.MaxValue,
        };
        running[spec.Id] = attempt;
        int now = running.Count;
        for (int seen = most; now > seen && Interlocked.CompareExchange(ref most, now, seen) != seen; seen = most)
        {
            continue;
        }

        attempt.Begin();
        return attempt;
    }

    public NodeStatus Status() => new(
        [.. running.Values.Select(a => new SandboxView(
            "fake-" + a.Spec.Id, "running", a.Spec.Id, a.Spec.Sandbox.Image, a.StartedAt))],
        0, 0, Interlocked.Read(ref taken), Interlocked.Read(ref removed), Interlocked.Read(ref faults));

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        accepting = false;
        foreach (FakeAttempt attempt in running.Values)
        {
            attempt.Stop(Core.Runs.EndReason.PlatformFault, TimeSpan.Zero);
            await attempt.Completion.WaitAsync(cancellationToken);
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    private void Forget(FakeAttempt attempt)
    {
        if (running.TryRemove(attempt.Spec.Id, out _))
        {
            Interlocked.Increment(ref removed);
        }
    }
}
