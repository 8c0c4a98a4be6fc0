namespace Berth.Node.Linux;

/// <param name="Rows">Lines, 1 to 65,535.</param>
/// <param name="Columns">Characters to a line, 1 to 65,535.</param>
public readonly record struct TerminalSize(ushort Rows, ushort Columns)
{
    /// <summary>What programs assume that are told nothing.</summary>
    public static TerminalSize Usual { get; } = new(24, 80);
}

/// <summary>
/// A terminal for a program in a sandbox (pty(7)), of the sandbox's own devpts. As a stream: what the program writes, and
/// what it is to read as if typed. Reading ends when no process has the terminal open any more.
/// </summary>
public sealed class Pseudoterminal : Stream
{
    private readonly FileDescriptor master;
    private readonly PolledDescriptor descriptor;

    private Pseudoterminal(FileDescriptor master, FileDescriptor program, ReadinessPoller poller)
    {
        this.master = master;
        Program = program;
        descriptor = new PolledDescriptor(master.Duplicate(), poller, isTerminal: true);
    }

    /// <summary>The program's end. To be closed here once the program has it.</summary>
    public FileDescriptor Program { get; }

    public override bool CanRead => !descriptor.IsClosed;

    public override bool CanSeek => false;

    public override bool CanWrite => !descriptor.IsClosed;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Bytes the program wrote, as far as they were read or wait to be.</summary>
    public long BytesArrived => descriptor.BytesArrived();

    /// <summary>Bytes given to the program.</summary>
    public long BytesWritten => descriptor.BytesWritten;

    /// <summary>
    /// Opens a new terminal in the sandbox that a process is in. Throws LinuxException, also when what stands there is no
    /// terminal multiplexer: the programs of the sandbox are not trusted with it.
    /// </summary>
    /// <param name="owner">Who is to own it: the sandbox's root, by its id on this machine.</param>
    public static unsafe Pseudoterminal Open(int process, uint owner, TerminalSize size, ReadinessPoller poller)
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
            if (Libc.FChOwn(program, owner, uint.MaxValue) < 0)
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

    /// <summary>The programs learn it by SIGWINCH.</summary>
    public unsafe void Resize(TerminalSize size)
    {
        ushort* window = stackalloc ushort[4] { size.Rows, size.Columns, 0, 0 };
        if (Libc.Ioctl(master, Libc.TIOCSWINSZ, (int*)window) < 0)
        {
            throw LinuxException.Last("ioctl", "TIOCSWINSZ");
        }
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        buffer.IsEmpty ? ValueTask.FromResult(0) : descriptor.ReadAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => descriptor.Read(buffer.AsSpan(offset, count));

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        descriptor.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => descriptor.Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            descriptor.Dispose();
            Program.Dispose();
            master.Dispose();
        }

        base.Dispose(disposing);
    }
}
