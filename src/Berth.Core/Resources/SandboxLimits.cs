namespace Berth.Core.Resources;

/// <summary>
/// What one sandbox may use at most. Every field is enforced by the kernel, not by the program's good will.
/// </summary>
/// <param name="Memory">Memory including page cache, /tmp and the writable layer when that is on tmpfs.</param>
/// <param name="Cpu">Processor share as a hard quota.</param>
/// <param name="Pids">Processes and threads together.</param>
/// <param name="WritableLayer">Bytes the program may write to its root file system.</param>
public sealed record SandboxLimits(ByteSize Memory, CpuQuota Cpu, int Pids, ByteSize WritableLayer)
{
    public static SandboxLimits Default { get; } =
        new(ByteSize.MiB(256), CpuQuota.FromMillicores(1000), 1024, ByteSize.MiB(512));
}

/// <summary>What a sandbox can reach.</summary>
public enum NetworkMode
{
    /// <summary>Its own loopback device only.</summary>
    None,

    /// <summary>The machine's own network; must be allowed by the operator.</summary>
    Host,

    /// <summary>A network of its caller's, where other programs are.</summary>
    Bridge,
}
