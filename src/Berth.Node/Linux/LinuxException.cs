using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>A system call failed: names the call, what it was about, and the kernel's reason, which is its
/// <see cref="Exception.HResult"/> too, as with .NET's own.</summary>
public sealed class LinuxException(string call, string? subject, int errno)
    : IOException(Describe(call, subject, errno), errno)
{
    public string Call { get; } = call;

    /// <summary>The path or object the call was about, if any.</summary>
    public string? Subject { get; } = subject;

    /// <summary>See <see cref="Linux.Errno"/>.</summary>
    public int Errno { get; } = errno;

    /// <summary>For the call that just failed on this thread.</summary>
    internal static LinuxException Last(string call, string? subject = null) =>
        new(call, subject, Marshal.GetLastPInvokeError());

    private static string Describe(string call, string? subject, int errno) =>
        $"{call}({subject}) failed: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno}).";
}
