using System.Runtime.CompilerServices;
using Berth.Init.Linux;

namespace Berth.Init;

/// <summary>
/// Makes the init untouchable for the program before there is one: no signal reaches it, no descriptor is inherited
/// but those agreed, nobody may trace it or read its memory, and the filter holds for it and all that follow.
/// </summary>
internal static unsafe class Lockdown
{
    private const int PR_SET_DUMPABLE = 4;
    private const int PR_SET_NO_NEW_PRIVS = 38;
    private const int SECCOMP_SET_MODE_FILTER = 1;
    private const int SECCOMP_FILTER_FLAG_TSYNC = 1;
    private const int FirstForeignDescriptor = 5;

    public static void SealProcess()
    {
        SealSignals();
        // Whatever a runc may have leaked (CVE-2024-21626).
        CloseForeign();
        Kernel.SetFileMask(0b000_010_010);
        fixed (byte* root = "/\0"u8)
        {
            Check(Kernel.ChangeDirectory(root), "chdir /");
        }

        Check(Kernel.ProcessControl(PR_SET_DUMPABLE, 0), "prctl PR_SET_DUMPABLE");
    }

    /// <summary>Leaves the descriptors that an init has, of which the program inherits the first three.</summary>
    public static void CloseForeign()
    {
        Kernel.SetNonInheritable(ControlSocket.Descriptor);
        Kernel.SetNonInheritable(Programs.ProgramLauncher.ProgressDescriptor);
        Kernel.CloseRange(FirstForeignDescriptor, uint.MaxValue, 0);
    }

    /// <summary>From now on signals wait until they are read from a descriptor.</summary>
    public static void SealSignals()
    {
        BlockSignalsInFinalizerThread();
        Kernel.SetMask(ulong.MaxValue);

        // The runtime's handlers would make process 1 killable by its own program: without a handler the kernel drops
        // what comes from inside (pid_namespaces(7)). Ignored signals would also stay ignored in the program.
        Kernel.SignalAction fallback = default;
        for (int signal = 1; signal <= Kernel.HighestSignal; signal++)
        {
            Kernel.SetAction(signal, &fallback);
        }
    }

    /// <summary>For every thread, and inherited by every child.</summary>
    public static void InstallFilter(ReadOnlySpan<byte> instructions)
    {
        Check(Kernel.ProcessControl(PR_SET_NO_NEW_PRIVS, 1), "prctl PR_SET_NO_NEW_PRIVS");
        fixed (byte* start = instructions)
        {
            Kernel.FilterProgram program = new()
            {
                Length = (ushort)(instructions.Length / 8),
                Instructions = (nint)start,
            };
            Check(
                Kernel.Seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program),
                "seccomp SECCOMP_SET_MODE_FILTER");
        }
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
        {
            throw new InitException(Kernel.Errno, call);
        }
    }

    /// <summary>
    /// The runtime started this thread with open ears: it would swallow the SIGCHLD that the main thread reads from a
    /// descriptor. The only way to run code on it is to have something finalized.
    /// </summary>
    private static void BlockSignalsInFinalizerThread()
    {
        Abandon();
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon() => _ = new SignalBlocker();

    private sealed class SignalBlocker
    {
        ~SignalBlocker() => Kernel.SetMask(ulong.MaxValue);
    }
}
