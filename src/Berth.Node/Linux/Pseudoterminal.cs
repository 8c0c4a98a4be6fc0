using Berth.Core.Runs;

namespace Berth.Node.Linux;

/// <summary>
/// A terminal for a program in a sandbox (pty(7)), of the sandbox's own devpts. Reading its output ends when no process
/// has the terminal open any more.
/// </summary>
public sealed class Pseudoterminal : IDisposable
{
    private readonly FileDescriptor master;

    private Pseudoterminal(FileDescriptor master, FileDescriptor? program, ReadinessPoller poller)
    {
        this.master = master;
        Program = program;
        Input = new PipeWriteStream(master.Duplicate(), poller);
        Output = new PipeReadStream(master.Duplicate(), poller, isTerminal: true);
    }

    /// <summary>The program's end, to be closed here once the program has it; null where it never was here.</summary>
    public FileDescriptor? Program { get; }

    /// <summary>What is typed. Disposing it types nothing more; a terminal has no end of input.</summary>
    public PipeWriteStream Input { get; }

    /// <summary>What is shown.</summary>
    public PipeReadStream Output { get; }

    /// <summary>
    /// Opens a new terminal in the sandbox that a process is in. Throws LinuxException, also when what stands there is
    /// no terminal multiplexer: the programs of the sandbox are not trusted with it.
    /// </summary>
    /// <param name="owner">Who is to own it: the sandbox's root, by its id on this machine; null leaves it to this
    /// process's user.</param>
    public static unsafe Pseudoterminal Open(int process, uint? owner, TerminalSize size, ReadinessPoller poller)
    {
        using FileDescriptor root = FileSystems.OpenFolder($"/proc/{process}/root");
        FileDescriptor master = FileSystems.OpenInside(root, "dev/pts/ptmx", Libc.O_RDWR_NOCTTY_CLOEXEC);
        try
        {
            // Only a master of the kernel's own answers these.
            int number = 0;
            int unlocked = 0;
            if (Libc.Ioctl(master, Libc.TIOCGPTN, &number) < 0 || Libc.Ioctl(master, Libc.TIOCSPTLCK, &unlocked) < 0)
            {
                throw LinuxException.Last("ioctl", "/dev/pts/ptmx");
            }

            int peer = Libc.IoctlNumber(master, Libc.TIOCGPTPEER, Libc.O_RDWR_NOCTTY_CLOEXEC);
            if (peer < 0)
            {
                throw LinuxException.Last("ioctl", "TIOCGPTPEER");
            }

            FileDescriptor program = new(peer);
            if (owner is { } user && Libc.FChOwn(program, user, uint.MaxValue) < 0)
            {
                LinuxException error = LinuxException.Last("fchown", "terminal");
                program.Dispose();
                throw error;
            }

            Pseudoterminal terminal = new(master, program, poller);
            terminal.Resize(size);
            return terminal;
        }
        catch
        {
            master.Dispose();
            throw;
        }
    }

    /// <summary>A terminal made by somebody else, of which this is the master from now on. Throws
    /// LinuxException.</summary>
    public static Pseudoterminal Adopt(FileDescriptor master, TerminalSize size, ReadinessPoller poller)
    {
        Pseudoterminal terminal = new(master, program: null, poller);
        try
        {
            terminal.Resize(size);
            return terminal;
        }
        catch
        {
            terminal.Dispose();
            throw;
        }
    }

    /// <summary>The programs learn it by SIGWINCH.</summary>
    public unsafe void Resize(TerminalSize size)
    {
        ushort* window = stackalloc ushort[4] { size.Rows, size.Columns, 0, 0 };
        if (Libc.Ioctl(master, Libc.TIOCSWINSZ, (int*)window) < 0)
        {
            throw LinuxException.Last("ioctl", "TIOCSWINSZ");
        }
    }

    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
        Program?.Dispose();
        master.Dispose();
    }
}
