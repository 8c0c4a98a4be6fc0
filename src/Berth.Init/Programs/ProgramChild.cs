using Berth.Init.Linux;

namespace Berth.Init.Programs;

/// <summary>Which step of the child failed.</summary>
internal enum ChildStep
{
    User = 1,
    WorkingDirectory = 2,
    Descriptors = 3,
    Execute = 4,
    ForbiddenFolder = 5,
}

/// <summary>What a child that could not execute says before it exits.</summary>
internal struct ChildReport
{
    public int Step;
    public int Errno;
}

/// <summary>
/// The child until execve. Only system calls on memory that was ready before: the runtime's other thread does not exist
/// here, and any lock it held is held for ever. Its memory is its parent's, which stands still meanwhile.
/// </summary>
internal static unsafe class ProgramChild
{
    private const int PathBytes = 4096;

    public static void Run(ProgramPlan* plan)
    {
        byte* buffer = stackalloc byte[PathBytes];
        if (plan->SharesSession)
        {
            Kernel.NewProcessGroup();
        }
        else
        {
            Kernel.NewSession();
        }

        Kernel.SetMask(0);
        if (!plan->Streams.TryInstall())
        {
            Fail(plan, ChildStep.Descriptors, Kernel.Errno);
        }

        if (plan->IsBatch)
        {
            // It only makes the program faster: a kernel that refuses it is no obstacle.
            Kernel.ScheduleAsBatch();
        }

        if (!plan->IsVictim)
        {
            PreferAsVictim();
        }

        // As root still, like runc: an unreadable parent folder is no obstacle.
        if (Kernel.ChangeDirectory(plan->WorkingDirectory) < 0
            || Kernel.GetWorkingDirectory(buffer, PathBytes) < 0)
        {
            Fail(plan, ChildStep.WorkingDirectory, Kernel.Errno);
        }

        // Where it really is, links and .. followed. One that led out of the container the kernel names "(unreachable)"
        // (CVE-2024-21626), and /proc has links to what other processes hold open.
        if (buffer[0] != (byte)'/' || IsInProc(buffer))
        {
            Fail(plan, ChildStep.ForbiddenFolder, Kernel.EPERM);
        }

        bool progress = plan->Progress >= 0;
        if ((progress && Kernel.Duplicate(plan->Progress, (int)ProgramLauncher.ProgramProgressDescriptor) < 0)
            || Kernel.CloseRange(
                ProgramLauncher.ProgramProgressDescriptor + (progress ? 1u : 0u), uint.MaxValue,
                Kernel.CLOSE_RANGE_CLOEXEC) < 0)
        {
            Fail(plan, ChildStep.Descriptors, Kernel.Errno);
        }

        if (plan->Streams.IsTerminal)
        {
            // So that the program may open /dev/tty again as its user; as with a login, failing is no obstacle.
            Kernel.ChangeOwner(0, plan->User, uint.MaxValue);
        }

        if (Kernel.SetGroups(plan->GroupCount, plan->Groups) < 0
            || Kernel.SetGroup(plan->Group) < 0
            || Kernel.SetUser(plan->User) < 0)
        {
            Fail(plan, ChildStep.User, Kernel.Errno);
        }

        Fail(plan, ChildStep.Execute, TryEach(plan));
    }

    private static bool IsInProc(byte* path) =>
        path[1] == (byte)'p' && path[2] == (byte)'r' && path[3] == (byte)'o' && path[4] == (byte)'c'
            && path[5] is 0 or (byte)'/';

    /// <summary>
    /// Returns the errno to report: as execvp(3), a refused candidate counts more than a missing one.
    /// </summary>
    private static int TryEach(ProgramPlan* plan)
    {
        int errno = Kernel.ENOENT;
        for (int i = 0; i < plan->CandidateCount; i++)
        {
            Kernel.Execve(plan->Candidates[i], plan->Arguments, plan->Environment);
            switch (Kernel.Errno)
            {
                case Kernel.ENOENT or Kernel.ENOTDIR:
                    break;
                case Kernel.EACCES:
                    errno = Kernel.EACCES;
                    break;
                default:
                    return Kernel.Errno;
            }
        }

        return errno;
    }

    /// <summary>See <see cref="VictimScore"/>.</summary>
    private static void PreferAsVictim()
    {
        fixed (byte* path = "/proc/self/oom_score_adj\0"u8)
        fixed (byte* score = VictimScore.OfPrograms)
        {
            int fd = Kernel.Open(path, Kernel.O_WRONLY | Kernel.O_CLOEXEC);
            if (fd >= 0)
            {
                Kernel.Write(fd, score, VictimScore.OfPrograms.Length);
                Kernel.Close(fd);
            }
        }
    }

    private static void Fail(ProgramPlan* plan, ChildStep step, int errno)
    {
        const int NotStarted = 127;
        *plan->Report = new ChildReport { Step = (int)step, Errno = errno };
        Kernel.Exit(NotStarted);
    }
}
