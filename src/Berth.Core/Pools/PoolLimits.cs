using Berth.Core.Resources;

namespace Berth.Core.Pools;

/// <summary>Bounds for sandboxes that stand ready without being used.</summary>
/// <param name="LeastReady">Kept ready for every shape in use.</param>
/// <param name="MostReady">Of one shape, however often it is called.</param>
/// <param name="Memory">All ready sandboxes together may take this much; the shapes used longest ago yield.</param>
/// <param name="MemoryEach">What one ready sandbox is counted as: its init, its namespaces, its mounts.</param>
/// <param name="IdleExpiry">A shape not called for this long keeps none.</param>
public sealed record PoolLimits(int LeastReady, int MostReady, ByteSize Memory, ByteSize MemoryEach,
    TimeSpan IdleExpiry)
{
    public static PoolLimits Default { get; } =
        new(2, 32, ByteSize.MiB(512), ByteSize.MiB(4), TimeSpan.FromMinutes(5));

    /// <summary>Nothing is prepared ahead; every start makes its own.</summary>
    public static PoolLimits None { get; } = Default with { LeastReady = 0, MostReady = 0 };

    public int MostReadyTogether => (int)Math.Min(int.MaxValue, Memory.Bytes / Math.Max(1, MemoryEach.Bytes));
}
