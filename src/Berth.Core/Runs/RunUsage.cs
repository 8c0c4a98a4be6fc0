using Berth.Core.Resources;

namespace Berth.Core.Runs;

/// <summary>What one attempt consumed, measured by the kernel for its sandbox alone; or what all attempts of a run
/// did.</summary>
/// <param name="CpuUser">Processor time in user mode of every process of the sandbox.</param>
/// <param name="CpuSystem">Processor time in kernel mode.</param>
/// <param name="PeakMemory">Highest memory charged to the sandbox's cgroup.</param>
/// <param name="BytesIn">Bytes delivered to standard input.</param>
/// <param name="BytesOut">Bytes the program wrote to standard output, read or not.</param>
public sealed record RunUsage(TimeSpan CpuUser, TimeSpan CpuSystem, ByteSize PeakMemory, long BytesIn, long BytesOut)
{
    public static RunUsage None { get; } = new(TimeSpan.Zero, TimeSpan.Zero, ByteSize.Zero, 0, 0);

    /// <summary>What two attempts used together: times and bytes added up, the higher peak.</summary>
    public RunUsage Plus(RunUsage other) => new(
        CpuUser + other.CpuUser, CpuSystem + other.CpuSystem,
        PeakMemory.Bytes >= other.PeakMemory.Bytes ? PeakMemory : other.PeakMemory,
        BytesIn + other.BytesIn, BytesOut + other.BytesOut);
}

/// <summary>Where the time of one attempt went. The phases follow each other without gaps.</summary>
/// <param name="Queue">From acceptance (or the end of the last attempt's delay) until a place was free.</param>
/// <param name="Prepare">Waiting for a sandbox: about 0 when one stood ready.</param>
/// <param name="Start">From handing the run to the sandbox until its program runs.</param>
/// <param name="Run">From the program's start to its end.</param>
public sealed record RunTimings(TimeSpan Queue, TimeSpan Prepare, TimeSpan Start, TimeSpan Run)
{
    public static RunTimings None { get; } = new(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);

    public TimeSpan Total => Queue + Prepare + Start + Run;
}
