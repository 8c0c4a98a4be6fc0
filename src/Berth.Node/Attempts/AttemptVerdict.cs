using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Node.Init;

namespace Berth.Node.Attempts;

/// <summary>Says what ended an attempt, and in a sentence what can be done about it. Pure.</summary>
internal static class AttemptVerdict
{
    /// <param name="stop">The reason given to Stop, when it came before the program's end.</param>
    /// <param name="exit">The init's report; null when the init went without one.</param>
    /// <param name="outOfMemoryKills">Processes the kernel ended at the memory limit.</param>
    public static (EndReason Reason, string? Detail) Decide(
        EndReason? stop, ProgramExit? exit, long outOfMemoryKills, SandboxLimits limits)
    {
        if (stop is { } reason)
        {
            return (reason, DetailOf(reason));
        }

        return exit switch
        {
            { ExitCode: 0, Signal: 0 } when outOfMemoryKills > 0 =>
                (EndReason.Completed,
                    $"The kernel ended {outOfMemoryKills} of its processes at the memory limit of {limits.Memory}."),
            { ExitCode: 0, Signal: 0 } => (EndReason.Completed, null),
            _ when outOfMemoryKills > 0 =>
                (EndReason.OutOfMemory,
                    $"The program reached its memory limit of {limits.Memory}; files it writes count. Raise it with "
                    + "Berth-Memory or --memory."),
            { Signal: > 0 } =>
                (EndReason.Signal, $"The program was ended by signal {exit.Signal}{NameOf(exit.Signal)}."),
            { } => (EndReason.ExitCode, null),
            null => (EndReason.PlatformFault, "The sandbox's init ended without a report of the program."),
        };
    }

    /// <summary>
    /// The control group knows the exact sum of everything in the sandbox; the init knows how its program's share was
    /// split between user and kernel mode. Null usage: the sandbox was gone before it could be read.
    /// </summary>
    public static RunUsage UsageOf(SandboxUsage? usage, ProgramExit? exit, long bytesIn, long bytesOut)
    {
        TimeSpan user = exit?.UserTime ?? usage?.Resources.CpuUser ?? TimeSpan.Zero;
        TimeSpan system = exit?.SystemTime ?? usage?.Resources.CpuSystem ?? TimeSpan.Zero;
        if (usage is null)
        {
            return new RunUsage(user, system, ByteSize.FromBytes(exit?.PeakResident ?? 0), bytesIn, bytesOut);
        }

        TimeSpan total = usage.Resources.Cpu > TimeSpan.Zero ? usage.Resources.Cpu : TimeSpan.Zero;
        double share = ShareOf(user, system) ?? ShareOf(usage.Resources.CpuUser, usage.Resources.CpuSystem) ?? 1;
        TimeSpan splitUser = total * share;
        return new RunUsage(splitUser, total - splitUser, usage.Resources.PeakMemory, bytesIn, bytesOut);
    }

    /// <summary>Null when both are nothing: the kernel counts a process's share in ticks, which short ones end
    /// before.</summary>
    private static double? ShareOf(TimeSpan user, TimeSpan system) =>
        user + system > TimeSpan.Zero ? user / (user + system) : null;

    private static string? DetailOf(EndReason reason) => reason switch
    {
        EndReason.TimedOut =>
            "The program did not end before its deadline. Give it more time with Berth-Timeout or --timeout.",
        EndReason.OutputLimit =>
            "The program wrote more output than allowed and was ended. Raise the limit with Berth-Output-Limit.",
        EndReason.ClientGone => "The caller went away before the program ended.",
        EndReason.PlatformFault => "The node stopped while the program ran.",
        _ => null,
    };

    private static string NameOf(int signal) => signal switch
    {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS: a system call that sandboxes may not use)",
        _ => "",
    };
}
