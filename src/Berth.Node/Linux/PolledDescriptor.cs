using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>
/// A non-blocking descriptor with one reader and one writer at a time. Calls are tried at once; the poller is asked
/// only when the kernel has nothing, so short exchanges cost no extra system call.
/// </summary>
internal sealed class PolledDescriptor : IDisposable
{
    /// <summary>Half of what a pipe holds by default (pipe(7)): whoever wrote so much at once may write more.</summary>
    private const int ManyBytes = 32 * 1024;

    private readonly FileDescriptor descriptor;
    private readonly ReadinessPoller poller;
    private readonly bool isTerminal;
    private readonly bool isConnection;
    private readonly Readiness readable = new();
    private readonly Readiness writable = new();
    private readonly Lock gate = new();
    private readonly Lock counting = new();
    private volatile bool isSeldom;
    private int growsTo;
    private long key;
    private uint watched;
    private long bytesRead;
    private long bytesWritten;

    /// <summary>Takes ownership of the descriptor.</summary>
    /// <param name="isTerminal">Whether it is the master of a pseudoterminal.</param>
    /// <param name="isSeldom">Whether mostly nothing comes: then the poller is not asked before <see cref="Look"/>, or
    /// before a moment has passed.</param>
    /// <param name="growsTo">Bytes that a pipe may hold once its first 64 KiB are used; 0 leaves them.</param>
    /// <param name="isConnection">Whether it is somebody's connection, of which a reset is no end.</param>
    public PolledDescriptor(
        FileDescriptor descriptor, ReadinessPoller poller, bool isTerminal = false, bool isSeldom = false,
        int growsTo = 0, bool isConnection = false)
    {
        descriptor.SetNonBlocking();
        this.isTerminal = isTerminal;
        this.isConnection = isConnection;
        this.isSeldom = isSeldom;
        this.growsTo = growsTo;
        this.descriptor = descriptor;
        this.poller = poller;
    }

    public bool IsClosed => readable.IsClosed;

    public long BytesWritten => Interlocked.Read(ref bytesWritten);

    /// <summary>
    /// Bytes read and those still waiting in the kernel, as one sum that no concurrent read can tear.
    /// </summary>
    public unsafe long BytesArrived()
    {
        lock (counting)
        {
            int waiting = 0;
            return IsClosed || Libc.Ioctl(descriptor, Libc.FIONREAD, &waiting) < 0 ? bytesRead : bytesRead + waiting;
        }
    }

    /// <summary>Bytes read; 0 is end of file.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (true)
        {
            readable.Clear();
            if (isSeldom)
            {
                poller.LookSoon(this);
            }
            else if (TryRead(buffer.Span) is >= 0 and int count)
            {
                return count;
            }
            else
            {
                Watch(Libc.EPOLLIN);
            }

            await readable.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Has who waits for input read now, in this thread, whatever the poller knows.</summary>
    public void Look()
    {
        isSeldom = false;
        readable.Signal(runsHere: true);
    }

    /// <summary>Writes everything, however often the pipe fills up.</summary>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (!buffer.IsEmpty)
        {
            writable.Clear();
            int count = TryWrite(buffer.Span);
            if (count >= 0)
            {
                buffer = buffer[count..];
                continue;
            }

            Watch(Libc.EPOLLOUT);
            await writable.WaitAsync(cancellationToken);
        }
    }

    /// <summary>As many bytes as there is room for now; 0 also where nobody reads any more.</summary>
    public int WriteSome(ReadOnlySpan<byte> buffer)
    {
        try
        {
            return buffer.IsEmpty ? 0 : Math.Max(TryWrite(buffer), 0);
        }
        catch (LinuxException)
        {
            return 0;
        }
    }

    /// <summary>Of a unix socket: the descriptors travel with the first byte and arrive as copies.</summary>
    public async ValueTask SendAsync(
        ReadOnlyMemory<byte> buffer, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (true)
        {
            writable.Clear();
            int count = TrySend(buffer.Span, descriptors);
            if (count >= 0)
            {
                await WriteAsync(buffer[count..], cancellationToken);
                return;
            }

            Watch(Libc.EPOLLOUT);
            await writable.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Completes when the descriptor polls readable: for a pidfd, when its process has ended.</summary>
    public ValueTask WaitReadableAsync(CancellationToken cancellationToken)
    {
        Watch(Libc.EPOLLIN);
        return readable.WaitAsync(cancellationToken);
    }

    /// <summary>Completes at the next edge of writing: for a socket that connects, when it has or can't.</summary>
    public ValueTask WaitWritableAsync(CancellationToken cancellationToken)
    {
        Watch(Libc.EPOLLOUT);
        return writable.WaitAsync(cancellationToken);
    }

    public int Read(Span<byte> buffer)
    {
        int count;
        while ((count = TryRead(buffer)) < 0)
        {
            Block(Libc.POLLIN);
        }

        return count;
    }

    public void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int count = TryWrite(buffer);
            if (count < 0)
            {
                Block(Libc.POLLOUT);
                continue;
            }

            buffer = buffer[count..];
        }
    }

    /// <param name="runsHere">Whether who waits goes on in this thread, before this returns.</param>
    public void OnReady(uint events, bool runsHere)
    {
        const uint Ended = Libc.EPOLLERR | Libc.EPOLLHUP | Libc.EPOLLRDHUP;
        bool isReadable = (events & (Libc.EPOLLIN | Ended)) != 0;
        if ((events & (Libc.EPOLLOUT | Ended)) != 0)
        {
            // Not ahead of a reader.
            writable.Signal(runsHere && !isReadable);
        }

        if (isReadable)
        {
            readable.Signal(runsHere);
        }
    }

    /// <summary>Ends pending waits with ObjectDisposedException; the descriptor itself stays open.</summary>
    public void Close()
    {
        readable.Close();
        writable.Close();
    }

    public void Dispose()
    {
        Close();
        lock (gate)
        {
            if (key != 0 && !descriptor.IsClosed)
            {
                poller.Forget(descriptor, key);
            }

            descriptor.Dispose();
        }
    }

    /// <summary>Only what somebody waited for: every edge wakes a thread, and a socket says each time that it can take
    /// more.</summary>
    private void Watch(uint events)
    {
        if ((Volatile.Read(ref watched) & events) != 0)
        {
            return;
        }

        lock (gate)
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            uint all = watched | events;
            if (key == 0)
            {
                key = poller.Watch(descriptor, this, all);
            }
            else
            {
                poller.WatchAlso(descriptor, key, all);
            }

            Volatile.Write(ref watched, all);
        }
    }

    /// <summary>-1 when the kernel would block.</summary>
    private unsafe int TryRead(Span<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count;
                int error;
                lock (counting)
                {
                    count = Libc.Read(descriptor, start, buffer.Length);
                    // Here, because leaving a lock that somebody waits for is a system call, too.
                    error = Marshal.GetLastPInvokeError();
                    bytesRead += Math.Max(count, 0);
                }

                if (count >= 0)
                {
                    if (count >= ManyBytes)
                    {
                        TryGrow();
                    }

                    // What was shut down here meanwhile has not ended there.
                    ObjectDisposedException.ThrowIf(isConnection && count == 0 && IsClosed, this);
                    return (int)count;
                }

                switch (error)
                {
                    case Errno.TryAgain:
                        return -1;
                    case Errno.Interrupted:
                        continue;
                    // The other end of a socket was closed with unread bytes in it.
                    case Errno.ConnectionReset when !isConnection:
                    // A terminal that no program has open any more (ioctl_tty(2)).
                    case Errno.InputOutput when isTerminal:
                        return 0;
                    default:
                        throw new LinuxException("read", $"fd {descriptor.Number}", error);
                }
            }
        }
    }

    /// <summary>-1 when the kernel would block.</summary>
    private unsafe int TryWrite(ReadOnlySpan<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = Libc.Write(descriptor, start, buffer.Length);
                if (count >= 0)
                {
                    Interlocked.Add(ref bytesWritten, count);
                    return (int)count;
                }

                switch (Marshal.GetLastPInvokeError())
                {
                    case Errno.TryAgain when TryGrow():
                    case Errno.Interrupted:
                        continue;
                    case Errno.TryAgain:
                        return -1;
                    default:
                        throw LinuxException.Last("write", $"fd {descriptor.Number}");
                }
            }
        }
    }

    /// <summary>-1 when the kernel would block.</summary>
    private unsafe int TrySend(ReadOnlySpan<byte> buffer, IReadOnlyList<FileDescriptor> descriptors)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        int controlLength = sizeof(Libc.ControlHeader) + (descriptors.Count * sizeof(int));
        byte* control = stackalloc byte[controlLength + sizeof(long)];
        *(Libc.ControlHeader*)control = new Libc.ControlHeader
        {
            Length = (nuint)controlLength,
            Level = Libc.SOL_SOCKET,
            Type = Libc.SCM_RIGHTS,
        };
        for (int i = 0; i < descriptors.Count; i++)
        {
            ((int*)(control + sizeof(Libc.ControlHeader)))[i] = descriptors[i].Number;
        }

        fixed (byte* start = buffer)
        {
            Libc.IoVector vector = new() { Start = start, Length = (nuint)buffer.Length };
            Libc.MessageHeader message = new()
            {
                Vectors = &vector,
                VectorCount = 1,
                Control = control,
                ControlLength = (nuint)controlLength,
            };
            while (true)
            {
                nint count = Libc.SendMessage(descriptor, &message, Libc.MSG_NOSIGNAL);
                GC.KeepAlive(descriptors);
                if (count >= 0)
                {
                    Interlocked.Add(ref bytesWritten, count);
                    return (int)count;
                }

                switch (Marshal.GetLastPInvokeError())
                {
                    case Errno.TryAgain:
                        return -1;
                    case Errno.Interrupted:
                        continue;
                    default:
                        throw LinuxException.Last("sendmsg", $"fd {descriptor.Number}");
                }
            }
        }
    }

    /// <summary>Most programs move a few bytes, for which the kernel's default is enough. Where a user's share of pipe
    /// memory is used up it stays: slower, not wrong.</summary>
    private bool TryGrow() =>
        Interlocked.Exchange(ref growsTo, 0) is > 0 and int bytes
        && Libc.FcntlInt(descriptor, Libc.F_SETPIPE_SZ, bytes) >= 0;

    private unsafe void Block(short events)
    {
        Libc.PollEntry entry = new() { Descriptor = descriptor.Number, Events = events };
        if (Libc.Poll(&entry, 1, -1) < 0 && Marshal.GetLastPInvokeError() != Errno.Interrupted)
        {
            throw LinuxException.Last("poll", $"fd {descriptor.Number}");
        }
    }
}
