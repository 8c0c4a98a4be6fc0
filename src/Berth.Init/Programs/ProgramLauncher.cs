using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Programs;

/// <summary>Forks the child, lets go of the main program's streams, and learns whether execve succeeded.</summary>
internal static unsafe class ProgramLauncher
{
    /// <summary>The write end of the progress pipe, as the init inherits it.</summary>
    public const int ProgressDescriptor = 4;

    /// <summary>Where the program finds it (BERTH_PROGRESS_FD).</summary>
    public const uint ProgramProgressDescriptor = 3;

    /// <summary>The main program, whose streams are the init's own unless others came with it.</summary>
    public static int LaunchMain(ProgramPlan plan)
    {
        plan.Progress = ProgressDescriptor;
        return Launch(plan, main: true);
    }

    /// <summary>The process id of the running program. Throws InitException when there is none.</summary>
    public static int LaunchFurther(ProgramPlan plan) => Launch(plan, main: false);

    /// <summary>
    /// A lane's program: the same, but the child borrows this process's memory, which saves copying its page tables and
    /// the pipe for the report.
    /// </summary>
    /// <param name="stack">Highest address of a stack for the child.</param>
    public static int LaunchSharing(ProgramPlan plan, byte* stack)
    {
        ChildReport report = default;
        plan.SharedReport = &report;
        int pid = Kernel.ForkSharing(&ProgramChild.Run, stack, &plan);
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

    private static int Launch(ProgramPlan plan, bool main)
    {
        int* ends = stackalloc int[2];
        if (Kernel.Pipe(ends, Kernel.O_CLOEXEC) < 0)
        {
            throw new InitException(Kernel.Errno, "pipe");
        }

        plan.Report = ends[1];
        int pid = Kernel.Fork();
        if (pid == 0)
        {
            ProgramChild.Run(&plan);
        }

        int errno = Kernel.Errno;
        Kernel.Close(ends[1]);
        if (main)
        {
            LetGoOfStreams();
        }

        if (pid < 0)
        {
            throw NoFork(errno);
        }

        ChildReport report = default;
        nint count = ReadReport(ends[0], &report);
        Kernel.Close(ends[0]);
        return count == 0 ? pid : throw Explain(report, plan);
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

    private static nint ReadReport(int fd, ChildReport* report)
    {
        nint count;
        do
        {
            count = Kernel.Read(fd, report, sizeof(ChildReport));
        }
        while (count < 0 && Kernel.Errno == Kernel.EINTR);

        return count;
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
