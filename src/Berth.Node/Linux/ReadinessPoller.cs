using System.Collections.Concurrent;

namespace Berth.Node.Linux;

/// <summary>
/// A few threads in epoll_wait(2) that turn readiness of pipes, sockets and pidfds into completions, each of which runs
/// what waited for it: nobody else has to be woken. The last of them that listens never does, it hands over to the
/// thread pool; so code that blocks there holds up nothing else. A node has one and disposes it after everything that
/// uses it.
/// </summary>
public sealed class ReadinessPoller : IDisposable
{
    private const long WakeUp = 0;

    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(10);

    private readonly FileDescriptor epoll;
    private readonly FileDescriptor wake;
    private readonly ConcurrentDictionary<long, PolledDescriptor> watched = new();
    private readonly Thread[] threads;
    private readonly ConcurrentQueue<PolledDescriptor> soon = new();
    private readonly ITimer clock;
    private int due;
    private int isTicking;
    private long lastKey = WakeUp;
    private int listening;
    private volatile bool stopping;

    public ReadinessPoller()
    {
        int number = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        epoll = number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("epoll_create1");
        number = Libc.EventFd(0, Libc.EFD_CLOEXEC);
        wake = number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("eventfd");
        Control(Libc.EPOLL_CTL_ADD, wake, Libc.EPOLLIN, WakeUp);
        clock = TimeProvider.System.CreateTimer(
            static self => ((ReadinessPoller)self!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // Two more than can run at once: what they run may block now and then.
        threads = new Thread[Environment.ProcessorCount + 2];
        listening = threads.Length;
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Run) { IsBackground = true, Name = $"Berth node {i}" };
            threads[i].UnsafeStart();
        }
    }

    /// <summary>Descriptors watched now; returns to what it was once their owners are disposed.</summary>
    public int WatchedCount => watched.Count;

    public void Dispose()
    {
        if (stopping)
        {
            return;
        }

        stopping = true;
        clock.Dispose();
        Wake();
        foreach (Thread thread in threads)
        {
            // Whoever disposes may have waited for a descriptor.
            if (thread != Thread.CurrentThread)
            {
                thread.Join();
            }
        }

        foreach (PolledDescriptor descriptor in watched.Values.Concat(soon))
        {
            descriptor.Close();
        }

        wake.Dispose();
        epoll.Dispose();
    }

    /// <summary>Edges only: a descriptor that is ready when added counts as an edge (epoll(7)).</summary>
    /// <param name="events">EPOLLIN, EPOLLOUT or both; its end is told in any case.</param>
    internal long Watch(FileDescriptor descriptor, PolledDescriptor owner, uint events)
    {
        ObjectDisposedException.ThrowIf(stopping, this);
        long key = Interlocked.Increment(ref lastKey);
        watched[key] = owner;
        try
        {
            Control(Libc.EPOLL_CTL_ADD, descriptor, events | Libc.EPOLLRDHUP | Libc.EPOLLET, key);
            return key;
        }
        catch
        {
            watched.TryRemove(key, out _);
            throw;
        }
    }

    /// <summary>From now on these; what is so now counts as an edge.</summary>
    internal void WatchAlso(FileDescriptor descriptor, long key, uint events) =>
        Control(Libc.EPOLL_CTL_MOD, descriptor, events | Libc.EPOLLRDHUP | Libc.EPOLLET, key);

    /// <summary>Has its reader look in 10 to 20 ms. What is over before, as most calls' errors and progress are that
    /// never had any, cost no watching and woke nobody.</summary>
    internal void LookSoon(PolledDescriptor descriptor)
    {
        soon.Enqueue(descriptor);
        ObjectDisposedException.ThrowIf(stopping, this);
        if (Interlocked.Exchange(ref isTicking, 1) == 0)
        {
            clock.Change(Moment, Timeout.InfiniteTimeSpan);
        }
    }

    internal unsafe void Forget(FileDescriptor descriptor, long key)
    {
        if (watched.TryRemove(key, out _) && !epoll.IsClosed)
        {
            Libc.EpollEvent entry = default;
            _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_DEL, descriptor, &entry);
        }
    }

    /// <summary>One at a time: it is set again at its end.</summary>
    private void Tick()
    {
        for (; due > 0 && soon.TryDequeue(out PolledDescriptor? descriptor); due--)
        {
            descriptor.Look();
        }

        // Those that came since the last tick wait for the next one.
        due = soon.Count;
        if (due == 0)
        {
            Interlocked.Exchange(ref isTicking, 0);
            if (soon.IsEmpty || Interlocked.Exchange(ref isTicking, 1) != 0)
            {
                return;
            }
        }

        clock.Change(Moment, Timeout.InfiniteTimeSpan);
    }

    private unsafe void Control(int what, FileDescriptor descriptor, uint events, long key)
    {
        Libc.EpollEvent entry = new() { Events = events, Data = key };
        if (Libc.EpollControl(epoll, what, descriptor, &entry) < 0)
        {
            throw LinuxException.Last("epoll_ctl", $"fd {descriptor.Number}");
        }
    }

    private unsafe void Wake()
    {
        long one = 1;
        _ = Libc.Write(wake, (byte*)&one, sizeof(long));
    }

    private unsafe void Run()
    {
        // One at a time: another would wait behind what this one's waiter does.
        Libc.EpollEvent ready;
        while (!stopping)
        {
            int count = Libc.EpollWait(epoll, &ready, 1, -1);
            if (count < 0 && System.Runtime.InteropServices.Marshal.GetLastPInvokeError() != Errno.Interrupted)
            {
                throw LinuxException.Last("epoll_wait");
            }

            if (count <= 0 || !watched.TryGetValue(ready.Data, out PolledDescriptor? descriptor))
            {
                continue;
            }

            bool isLast = Interlocked.Decrement(ref listening) == 0;
            descriptor.OnReady(ready.Events, runsHere: !isLast);
            Interlocked.Increment(ref listening);
        }
    }
}
