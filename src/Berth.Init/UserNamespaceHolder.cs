using Berth.Init.Linux;

namespace Berth.Init;

/// <summary>
/// A role outside of any sandbox: a process in a new user namespace, for the node to write its id maps and take its
/// descriptor. Forked, because a process with a second thread can't be given a new user namespace. The child's id goes
/// to standard output as four bytes; the end of standard input ends both.
/// </summary>
internal static unsafe class UserNamespaceHolder
{
    public static int Run()
    {
        int child = Kernel.Fork(Kernel.CLONE_NEWUSER);
        if (child == 0)
        {
            byte nothing;
            Kernel.Read(0, &nothing, 1);
            Kernel.Exit(0);
        }

        if (child < 0)
        {
            return Kernel.Errno;
        }

        Kernel.Write(1, &child, sizeof(int));
        int status;
        Kernel.ResourceUsage usage;
        Kernel.Wait4(child, &status, 0, &usage);
        return 0;
    }
}
