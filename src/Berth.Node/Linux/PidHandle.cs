using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>
/// A process held by pidfd (pidfd_open(2)): the number can be reused by the kernel, this can't. Reaps it when it is
/// this process's child, also one inherited as subreaper; the runtime's own child handling only touches what
/// System.Diagnostics started, so the two never compete.
/// </summary>
public sealed class PidHandle : IDisposable
{
    public const int SigTerm = 15;
    public const int SigKill = 9;

    private readonly FileDescriptor signals;
    private readonly PolledDescriptor exit;
    private readonly CancellationTokenSource closing = new();

    private PidHandle(int pid, FileDescriptor descriptor, ReadinessPoller poller)
    {
        Pid = pid;
        signals = descriptor.Duplicate();
        exit = new PolledDescriptor(descriptor, poller);
        Exited = WaitAsync();
    }

    public int Pid { get; }

    /// <summary>
    /// How it ended, once it has ended and been reaped; null when it ended but is somebody else's child. Cancelled when
    /// this is disposed first: then nobody reaps it any more.
    /// </summary>
    public Task<ProgramEnd?> Exited { get; }

    /// <summary>Throws LinuxException with <see cref="Errno.NoSuchProcess"/> when there is no such process.</summary>
    public static PidHandle Open(int pid, ReadinessPoller poller)
    {
        // The descriptor is close-on-exec by itself.
        int number = LibcPrograms.PidFdOpen(pid, 0);
        return number >= 0
            ? new PidHandle(pid, new FileDescriptor(number), poller)
            : throw LinuxException.Last("pidfd_open", $"pid {pid}");
    }

    /// <summary>False when it has already ended.</summary>
    public bool Signal(int signal)
    {
        if (LibcPrograms.PidFdSendSignal(signals, signal, 0, 0) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() == Errno.NoSuchProcess
            ? false
            : throw LinuxException.Last("pidfd_send_signal", $"pid {Pid}, signal {signal}");
    }

    public void Dispose()
    {
        closing.Cancel();
        exit.Dispose();
        signals.Dispose();
    }

    private async Task<ProgramEnd?> WaitAsync()
    {
        await exit.WaitReadableAsync(closing.Token);
        return Reap();
    }

    private unsafe ProgramEnd? Reap()
    {
        LibcPrograms.SignalInfo info = default;
        LibcPrograms.ResourceUsage usage = default;
        long result;
        do
        {
            result = LibcPrograms.WaitId(
                LibcPrograms.SYS_waitid, LibcPrograms.P_PIDFD, signals.Number, &info, LibcPrograms.WEXITED, &usage);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

        if (result < 0)
        {
            return Marshal.GetLastPInvokeError() == Errno.NoChild
                ? null
                : throw LinuxException.Last("waitid", $"pid {Pid}");
        }

        bool exited = info.Code == LibcPrograms.CLD_EXITED;
        return new ProgramEnd(
            exited ? info.Status : 0,
            exited ? 0 : info.Status,
            TimeSpan.FromMicroseconds((usage.UserSeconds * 1_000_000) + usage.UserMicroseconds),
            TimeSpan.FromMicroseconds((usage.SystemSeconds * 1_000_000) + usage.SystemMicroseconds));
    }
}

/// <param name="ExitCode">0 when a signal ended it.</param>
/// <param name="Signal">0 when it exited by itself.</param>
/// <param name="UserTime">Of the process and of the children it waited for.</param>
/// <param name="SystemTime">Of the same.</param>
public sealed record ProgramEnd(int ExitCode, int Signal, TimeSpan UserTime, TimeSpan SystemTime)
{
    public bool Succeeded => ExitCode == 0 && Signal == 0;

    public override string ToString() => Signal != 0 ? $"ended by signal {Signal}" : $"exited with {ExitCode}";
}
