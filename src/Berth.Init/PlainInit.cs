using System.Collections;
using System.Text;
using Berth.Init.Linux;

namespace Berth.Init;

/// <summary>
/// A role without a node: process 1 of a sandbox whose OCI runtime has already given it the program's own streams,
/// user, folder and environment. It hands signals on, reaps orphans, and ends as the program did: with its exit code,
/// or 128 and the number of the signal that ended it, because process 1 can't end itself by one (pid_namespaces(7)).
/// </summary>
internal static unsafe class PlainInit
{
    private const int EveryProcess = -1;
    private const int SignalInfoBytes = 128;
    private const int NotStarted = 127;
    private const int SignalBase = 128;

    /// <summary>signalfd_siginfo.ssi_code of what the kernel sends by itself, as a terminal's keys do.</summary>
    private const int SentByKernel = 0x80;

    /// <param name="report">File to write to, once: 0 when the program runs, else the errno of its execve. From then on
    /// signals are handed on.</param>
    /// <param name="path">Absolute, of the executable.</param>
    /// <param name="words">The program's name and arguments.</param>
    public static int Run(string report, string path, ReadOnlySpan<string> words)
    {
        byte* file = NativeText.Copy(Encoding.UTF8.GetBytes(path));
        byte** arguments = Vector([.. words]);
        byte** environment = Vector([.. Variables()]);
        int told = Kernel.Open(NativeText.Copy(Encoding.UTF8.GetBytes(report)), Kernel.O_WRONLY | Kernel.O_CLOEXEC);
        int* ends = stackalloc int[2];
        Lockdown.SealSignals();
        int errno = Kernel.Pipe(ends, Kernel.O_CLOEXEC) < 0 ? Kernel.Errno : 0;
        int program = errno == 0 ? Kernel.Fork() : -1;
        if (program == 0)
        {
            Kernel.SetMask(0);
            Kernel.Execve(file, arguments, environment);
            errno = Kernel.Errno;
            Kernel.Write(ends[1], &errno, sizeof(int));
            Kernel.Exit(NotStarted);
        }

        if (program < 0)
        {
            errno = Kernel.Errno;
        }
        else
        {
            Kernel.Close(ends[1]);
            // A successful execve closes the other end without a word.
            Kernel.Read(ends[0], &errno, sizeof(int));
            Kernel.Close(ends[0]);
        }

        byte[] word = Encoding.UTF8.GetBytes($"{errno}\n");
        fixed (byte* start = word)
        {
            Kernel.Write(told, start, word.Length);
        }

        Kernel.Close(told);
        // End of file must travel: what the program closes nobody else holds open.
        Programs.ProgramLauncher.LetGoOfStreams();
        return errno == 0 ? Supervise(program) : NotStarted;
    }

    private static int Supervise(int program)
    {
        int signals = Kernel.SignalDescriptor(ulong.MaxValue);
        Kernel.PollEntry entry = new() { Descriptor = signals, Events = Kernel.POLLIN };
        byte* info = stackalloc byte[SignalInfoBytes];
        while (true)
        {
            int? end = Reap(program);
            if (end is { } code)
            {
                return code;
            }

            Kernel.Poll(&entry, 1, -1);
            while (Kernel.Read(signals, info, SignalInfoBytes) > 0)
            {
                // struct signalfd_siginfo (signalfd(2)): number, errno, code.
                HandOn(program, ((int*)info)[0], ((int*)info)[2]);
            }
        }
    }

    /// <summary>A terminal's signals reach the program by themselves, but for its end, which is told to the session's
    /// first process alone.</summary>
    private static void HandOn(int program, int signal, int code)
    {
        if (signal != Kernel.SIGCHLD && (code != SentByKernel || signal == Kernel.SIGHUP))
        {
            Kernel.Kill(program, signal);
        }
    }

    /// <summary>Null while the program runs.</summary>
    private static int? Reap(int program)
    {
        while (true)
        {
            int status;
            Kernel.ResourceUsage usage;
            int pid = Kernel.Wait4(EveryProcess, &status, Kernel.WNOHANG, &usage);
            if (pid == program)
            {
                // wait(2): the low seven bits hold the signal, the next byte the exit code.
                int signal = status & 0x7F;
                return signal == 0 ? (status >> 8) & 0xFF : SignalBase + signal;
            }

            if (pid == 0 || (pid < 0 && Kernel.Errno != Kernel.EINTR))
            {
                return null;
            }
        }
    }

    /// <summary>NULL-terminated; texts that stay as long as the process.</summary>
    public static byte** Vector(string[] texts)
    {
        byte** vector = (byte**)FrameMemory.TakeCleared((nuint)(texts.Length + 1) * (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Length; i++)
        {
            vector[i] = NativeText.Copy(Encoding.UTF8.GetBytes(texts[i]));
        }

        return vector;
    }

    /// <summary>This process's environment.</summary>
    public static IEnumerable<string> Variables()
    {
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            yield return $"{variable.Key}={variable.Value}";
        }
    }
}
