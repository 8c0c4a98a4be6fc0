using Berth.Core.Resources;

namespace Berth.Core.Pools;

/// <summary>What a reused sandbox has been through, after a call.</summary>
/// <param name="Served">Calls, this one included.</param>
/// <param name="Age">Since its first call.</param>
/// <param name="EndedWell">Whether the program ended by itself, not by a signal.</param>
/// <param name="FilesInMemory">What its calls left in files; null where it was not measured.</param>
public readonly record struct ReuseState(long Served, TimeSpan Age, bool EndedWell, ByteSize? FilesInMemory);

/// <summary>
/// Decides when a sandbox that serves many calls is replaced. Whatever a call may leave behind, in files or in the
/// kernel, ends with the sandbox, so none lives for ever, and none that something went wrong in goes on.
/// </summary>
public static class ReusePolicy
{
    public const long MostCalls = 10_000;

    /// <summary>Files are looked at after this many calls: looking costs a share of what a call does.</summary>
    public const long MeasureEvery = 32;

    /// <summary>Idle sandboxes beyond what the last minute needed go.</summary>
    public static readonly TimeSpan SpareExpiry = TimeSpan.FromMinutes(1);

    public static readonly TimeSpan LongestAge = TimeSpan.FromHours(1);

    /// <summary>Of its memory or of its writable layer, that files may take before there is too little for the calls to
    /// come.</summary>
    private const double MostFilled = 0.25;

    public static bool IsToBeReplaced(ReuseState state, SandboxLimits limits) =>
        !state.EndedWell || state.Served >= MostCalls || state.Age >= LongestAge
            || (state.FilesInMemory is { } files
                && files.Bytes > MostFilled * Math.Min(limits.Memory.Bytes, limits.WritableLayer.Bytes));
}
