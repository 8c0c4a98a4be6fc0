using Berth.Api.Nodes;
using Berth.Core.Pools;
using Berth.Node.Engines;
using Berth.Oci.Images;
using Berth.Oci.Layers;

namespace Berth.Node.Pools;

/// <summary>A sandbox as taken from the pools.</summary>
/// <param name="Image">What the image says about its program.</param>
/// <param name="Prepared">Whether it stood ready.</param>
/// <param name="Lengths">Of its shape; null for one of its own kind.</param>
internal sealed record TakenSandbox(ISandbox Sandbox, ImageConfig Image, bool Prepared, RunLengths? Lengths = null);

/// <summary>A start that found no sandbox ready.</summary>
/// <param name="Ticket">Rises with every start: the oldest is served first, whatever it asked for.</param>
internal sealed record Waiter(long Ticket, TaskCompletionSource<ISandbox> Sandbox);

/// <summary>Everything the pools know about one sandbox shape. Only touched under the pools' lock.</summary>
internal sealed class Shelf(SandboxSpec spec)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan LongAgo = TimeSpan.FromDays(-3650);

    private double rate;
    private TimeSpan createTime;
    private TimeSpan lastUsed;
    private TimeSpan suspendedUntil;
    private int failures;

    public SandboxSpec Spec => spec;

    public RunLengths Lengths { get; } = new();

    public Queue<ISandbox> Ready { get; } = new();

    public LinkedList<Waiter> Waiters { get; } = new();

    /// <summary>Sandboxes being made now.</summary>
    public int Creating { get; set; }

    public ImageHandle? Image { get; set; }

    public PoolDemand<SandboxSpec> Demand => new(spec, rate, createTime, lastUsed);

    public bool IsUnused => Ready.Count == 0 && Waiters.Count == 0 && Creating == 0;

    public void NoteStart(TimeSpan now)
    {
        rate = lastUsed == TimeSpan.Zero ? 0 : PoolPolicy.Observe(rate, now - lastUsed);
        lastUsed = now;
    }

    /// <summary>Nothing is to be made ahead any more.</summary>
    public void NoteForgotten() => (rate, lastUsed) = (0, LongAgo);

    public void NoteExpected(TimeSpan now) => lastUsed = now;

    public void NoteCreated(TimeSpan took)
    {
        createTime = PoolPolicy.Observe(createTime, took);
        failures = 0;
    }

    /// <summary>Preparing ahead rests after a failure, longer each time. Returns for how long.</summary>
    public TimeSpan NoteFailure(TimeSpan now)
    {
        double factor = Math.Pow(2, Math.Min(failures++, 16));
        TimeSpan pause = TimeSpan.FromSeconds(Math.Min(FirstPause.TotalSeconds * factor, LongestPause.TotalSeconds));
        suspendedUntil = now + pause;
        return pause;
    }

    public bool MayRefill(TimeSpan now) => now >= suspendedUntil;
}
