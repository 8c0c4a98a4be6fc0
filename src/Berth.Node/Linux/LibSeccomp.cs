using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>libseccomp 2.5 as declared in seccomp.h: its names of calls, and the actions of filters.</summary>
internal static partial class LibSeccomp
{
    public const uint Allow = 0x7FFF_0000;
    public const uint KillProcess = 0x8000_0000;

    /// <summary>SCMP_ACT_ERRNO.</summary>
    public static uint Refuse(int errno) => 0x0005_0000u | (uint)errno;

    /// <returns>The call's number; negative for none.</returns>
    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_syscall_resolve_name",
        StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Resolve(string name);
}
