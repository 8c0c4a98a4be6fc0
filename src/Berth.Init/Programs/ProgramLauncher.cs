using System.Runtime.InteropServices;
using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Programs;

/// <summary>
/// Starts a child, lets go of the main program's streams, and learns whether execve succeeded. The child borrows this
/// process's memory, which stands still meanwhile: no page table is copied, and why it failed is read where it wrote
/// it.
/// </summary>
internal static unsafe class ProgramLauncher
{
    /// <summary>The write end of the progress pipe, as the init inherits it.</summary>
    public const int ProgressDescriptor = 4;

    /// <summary>Where the program finds it (BERTH_PROGRESS_FD).</summary>
    public const uint ProgramProgressDescriptor = 3;

    /// <summary>Of the child between fork and execve, whose largest frame is a path.</summary>
    private const int StackBytes = 64 * 1024;

    private static readonly byte* Stack = (byte*)NativeMemory.AlignedAlloc(StackBytes, 16) + StackBytes;

    /// <summary>The main program, whose streams are the init's own unless others came with it.</summary>
    public static int LaunchMain(ProgramPlan plan)
    {
        plan.Progress = ProgressDescriptor;
        try
        {
            return Launch(plan);
        }
        finally
        {
            LetGoOfStreams();
        }
    }

    /// <summary>The process id of the running program. Throws InitException when there is none.</summary>
    public static int Launch(ProgramPlan plan)
    {
        ChildReport report = default;
        plan.Report = &report;
        int pid = Kernel.ForkSharing(&ProgramChild.Run, Stack, &plan);
        if (pid < 0)
        {
            throw NoFork(Kernel.Errno);
        }

        if (report.Step == 0)
        {
            return pid;
        }

        int status;
        Kernel.ResourceUsage usage;
        Kernel.Wait4(pid, &status, 0, &usage);
        throw Explain(report, plan);
    }

    private static InitException NoFork(int errno) =>
        new(errno, "fork: the sandbox's limit of processes or memory may be too low");

    /// <summary>So that end of file travels: what the program closes nobody else holds open.</summary>
    public static void LetGoOfStreams()
    {
        fixed (byte* path = "/dev/null\0"u8)
        {
            int nothing = Kernel.Open(path, Kernel.O_RDWR | Kernel.O_CLOEXEC);
            for (int fd = 0; fd <= 2; fd++)
            {
                if (nothing < 0 || Kernel.Duplicate(nothing, fd) < 0)
                {
                    Kernel.Close(fd);
                }
            }

            if (nothing > 2)
            {
                Kernel.Close(nothing);
            }
        }

        Kernel.Close(ProgressDescriptor);
    }

    private static InitException Explain(ChildReport report, ProgramPlan plan)
    {
        if (report.Errno is Kernel.EAGAIN or Kernel.ENOMEM)
        {
            return new InitException(report.Errno, "the program could not be started: out of memory or processes");
        }

        return (ChildStep)report.Step switch
        {
            ChildStep.Execute => new InitException(RefusalReason.EntryPoint, report.Errno, Blame(report.Errno, plan)),
            ChildStep.WorkingDirectory => new InitException(
                RefusalReason.WorkingDirectory,
                report.Errno,
                $"The working directory {NativeText.ForPeople(NativeText.Span(plan.WorkingDirectory))} "
                + "can't be entered."),
            ChildStep.ForbiddenFolder => new InitException(
                RefusalReason.WorkingDirectory,
                report.Errno,
                $"The working directory {NativeText.ForPeople(NativeText.Span(plan.WorkingDirectory))} "
                + "lies in /proc or outside of the sandbox, where its links or .. lead."),
            // Not mapped in the sandbox's user namespace (setresuid(2)).
            ChildStep.User when report.Errno == Kernel.EINVAL => new InitException(
                RefusalReason.User,
                report.Errno,
                $"The user {plan.User}:{plan.Group} or one of its groups is beyond the ids a sandbox has."),
            _ => new InitException(report.Errno, $"the child failed at step {report.Step}"),
        };
    }

    private static string Blame(int errno, ProgramPlan plan)
    {
        string command = NativeText.ForPeople(NativeText.Span(plan.Arguments[0]));
        bool searched = !command.Contains('/');
        return errno switch
        {
            Kernel.ENOENT when searched =>
                $"The command '{command}' is in no folder of PATH ({Folders(plan)}) of the image.",
            Kernel.ENOENT =>
                $"The command '{command}' does not exist in the image, or its interpreter or loader doesn't.",
            Kernel.ENOTDIR => $"The command '{command}' does not exist in the image.",
            Kernel.EACCES => $"The command '{command}' exists in the image but is not executable for the user.",
            Kernel.ENOEXEC => $"The command '{command}' is no executable of this machine's architecture, "
                + "nor a script that begins with #!.",
            _ => $"The command '{command}' can't be executed.",
        };
    }

    private static string Folders(ProgramPlan plan)
    {
        for (byte** variable = plan.Environment; *variable is not null; variable++)
        {
            ReadOnlySpan<byte> text = NativeText.Span(*variable);
            if (text.StartsWith("PATH="u8))
            {
                return NativeText.ForPeople(text[5..Math.Min(text.Length, 512)]);
            }
        }

        return "";
    }
}
