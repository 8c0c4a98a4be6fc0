using System.Text;
using Berth.Init.Linux;

namespace Berth.Init;

/// <summary>
/// A role outside of any sandbox: joins control groups and becomes another program, so that all that program starts is
/// in them from its first moment. For OCI runtimes that leave control groups alone.
/// </summary>
internal static unsafe class GroupEntry
{
    private const int NotEntered = 125;
    private const int NotExecutable = 126;

    /// <param name="words">Files that a process joins a group by, "--", the executable's path and its
    /// arguments.</param>
    public static int Run(ReadOnlySpan<string> words)
    {
        int divider = words.IndexOf("--");
        if (divider < 0 || divider + 1 == words.Length)
        {
            Kernel.Say("berth-init enter-groups FILE… -- PROGRAM [ARGUMENT…]\n"u8);
            return 64;
        }

        foreach (string file in words[..divider])
        {
            if (!TryEnter(file))
            {
                Kernel.Say(Encoding.UTF8.GetBytes($"{file} can't be written: errno {Kernel.Errno}\n"));
                return NotEntered;
            }
        }

        byte** arguments = PlainInit.Vector([.. words[(divider + 1)..]]);
        Kernel.Execve(arguments[0], arguments, PlainInit.Vector([.. PlainInit.Variables()]));
        Kernel.Say(Encoding.UTF8.GetBytes($"{words[divider + 1]} can't be executed: errno {Kernel.Errno}\n"));
        return NotExecutable;
    }

    private static bool TryEnter(string file)
    {
        fixed (byte* path = Encoding.UTF8.GetBytes(file + "\0"))
        fixed (byte* self = "0"u8)
        {
            int fd = Kernel.Open(path, Kernel.O_WRONLY | Kernel.O_CLOEXEC);
            bool entered = fd >= 0 && Kernel.Write(fd, self, 1) == 1;
            if (fd >= 0)
            {
                Kernel.Close(fd);
            }

            return entered;
        }
    }
}
