using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>Signals by process id, for processes that can't end and be replaced meanwhile because they are frozen or
/// not ours to hold; everything else is signalled through <see cref="PidHandle"/>.</summary>
public static class Signals
{
    /// <summary>False when there is no such process.</summary>
    public static bool Send(int pid, int signal)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pid, 2);
        if (LibcPrograms.Kill(pid, signal) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() == Errno.NoSuchProcess
            ? false
            : throw LinuxException.Last("kill", $"pid {pid}, signal {signal}");
    }
}
