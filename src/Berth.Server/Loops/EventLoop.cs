using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Loops;

/// <summary>
/// A thread in epoll_wait(2) that carries on itself what waited for a socket: a call that goes on to an instance
/// changes threads nowhere, and no thread has to be woken for it but this one. What runs here must not block; the rest
/// leaves by <see cref="LoopExit"/>. There are as many as processors, from the first use to the end of the process.
/// </summary>
internal sealed class EventLoop
{
    private const int EventsPerWait = 256;
    private const long WakeUp = 0;
    private const int MostShortWaits = 8;

    /// <summary>50 µs, in the clock's ticks: what it costs to fall asleep and be woken in a virtual machine. Who asks
    /// for as long before it sleeps pays at most twice what the better of the two would have cost.</summary>
    private static readonly long ShortWait = Stopwatch.Frequency / 20_000;

    [ThreadStatic]
    private static EventLoop? current;

    private static readonly Lazy<EventLoop[]> All = new(
        () => [.. Enumerable.Range(0, Environment.ProcessorCount).Select(i => new EventLoop(i))]);

    private static int lastGiven;

    private readonly SafeFileHandle epoll;
    private readonly SafeFileHandle wake;
    private readonly ConcurrentDictionary<long, LoopSocket> watched = new();
    private readonly ConcurrentQueue<Action> posted = new();
    private long lastKey = WakeUp;
    private int woken;
    private int shortWaits;

    private EventLoop(int index)
    {
        Index = index;
        epoll = LoopLibc.EpollCreate(LoopLibc.EPOLL_CLOEXEC);
        wake = LoopLibc.EventFd(0, LoopLibc.EFD_CLOEXEC | LoopLibc.EFD_NONBLOCK);
        if (epoll.IsInvalid || wake.IsInvalid)
        {
            throw new Win32Exception();
        }

        Add(wake, LoopLibc.EPOLLIN, WakeUp);
        // Whoever is the first to need it leaves nothing of his own context in it.
        new Thread(Run) { IsBackground = true, Name = $"Berth loop {index}" }.UnsafeStart();
    }

    /// <summary>The one whose thread this is; null elsewhere.</summary>
    public static EventLoop? Current => current;

    public static int Count => Environment.ProcessorCount;

    /// <summary>From 0 to <see cref="Count"/> - 1.</summary>
    public int Index { get; }

    /// <summary>This thread's own, or each in turn.</summary>
    public static EventLoop Any() =>
        current ?? All.Value[(uint)Interlocked.Increment(ref lastGiven) % (uint)All.Value.Length];

    /// <summary>Edges only: a descriptor that is ready when added counts as an edge (epoll(7)).</summary>
    /// <returns>What <see cref="Forget"/> takes.</returns>
    public long Watch(SafeHandle descriptor, LoopSocket owner)
    {
        long key = Interlocked.Increment(ref lastKey);
        watched[key] = owner;
        try
        {
            Add(
                descriptor,
                LoopLibc.EPOLLIN | LoopLibc.EPOLLPRI | LoopLibc.EPOLLOUT | LoopLibc.EPOLLRDHUP | LoopLibc.EPOLLET,
                key);
            return key;
        }
        catch
        {
            watched.TryRemove(key, out _);
            throw;
        }
    }

    public unsafe void Forget(SafeHandle descriptor, long key)
    {
        if (watched.TryRemove(key, out _) && !descriptor.IsClosed)
        {
            LoopLibc.EpollEvent entry = default;
            _ = LoopLibc.EpollControl(epoll, LoopLibc.EPOLL_CTL_DEL, descriptor, &entry);
        }
    }

    /// <summary>Lets the others of this loop go first.</summary>
    public Turn NextTurn() => new(this);

    private unsafe void Post(Action action)
    {
        posted.Enqueue(action);
        if (current != this && Interlocked.Exchange(ref woken, 1) == 0)
        {
            long one = 1;
            _ = LoopLibc.Write(wake, (byte*)&one, sizeof(long));
        }
    }

    private unsafe void Add(SafeHandle descriptor, uint events, long key)
    {
        LoopLibc.EpollEvent entry = new() { Events = events, Data = key };
        if (LoopLibc.EpollControl(epoll, LoopLibc.EPOLL_CTL_ADD, descriptor, &entry) < 0)
        {
            throw new Win32Exception();
        }
    }

    private unsafe void Run()
    {
        current = this;
        nint descriptor = epoll.DangerousGetHandle();
        LoopLibc.EpollEvent* events = stackalloc LoopLibc.EpollEvent[EventsPerWait];
        while (true)
        {
            int count = Wait(descriptor, events);
            if (count < 0 && Marshal.GetLastPInvokeError() != LoopLibc.EINTR)
            {
                throw new Win32Exception();
            }

            for (int i = 0; i < count; i++)
            {
                if (events[i].Data == WakeUp)
                {
                    Drain();
                }
                else if (watched.TryGetValue(events[i].Data, out LoopSocket? socket))
                {
                    socket.OnReady(events[i].Events);
                }
            }

            // Those there now: what they post comes after the next look at the sockets.
            for (int left = posted.Count; left > 0 && posted.TryDequeue(out Action? action); left--)
            {
                action();
            }
        }
    }

    /// <summary>
    /// What is ready now, or next. Where the last waits were shorter than a thread takes to fall asleep and be woken,
    /// it asks for a while before it sleeps, and lets whoever wants the processor have it in between.
    /// </summary>
    private unsafe int Wait(nint descriptor, LoopLibc.EpollEvent* events)
    {
        if (!posted.IsEmpty)
        {
            return LoopLibc.EpollWait(descriptor, events, EventsPerWait, 0);
        }

        int count;
        long start = Stopwatch.GetTimestamp();
        if (shortWaits > 0)
        {
            do
            {
                count = LoopLibc.EpollWait(descriptor, events, EventsPerWait, 0);
                if (count != 0)
                {
                    shortWaits = Math.Min(shortWaits + 1, MostShortWaits);
                    return count;
                }

                _ = LoopLibc.Yield();
            }
            while (Stopwatch.GetTimestamp() - start < ShortWait);
            shortWaits--;
        }

        count = LoopLibc.EpollWait(descriptor, events, EventsPerWait, -1);
        if (Stopwatch.GetTimestamp() - start < ShortWait)
        {
            shortWaits = Math.Min(shortWaits + 1, MostShortWaits);
        }

        return count;
    }

    private unsafe void Drain()
    {
        // In this order: what is posted between the two is seen below. The other way round its signal could be read
        // away, and nobody would give another. A whole fence, because the queue is looked at next.
        long count;
        _ = LoopLibc.Read(wake.DangerousGetHandle(), (byte*)&count, sizeof(long));
        Interlocked.Exchange(ref woken, 0);
    }

    /// <summary>Awaited, the rest runs in the loop after what is ready there now.</summary>
    internal readonly struct Turn(EventLoop loop) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => false;

        public Turn GetAwaiter() => this;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => loop.Post(continuation);

        public void UnsafeOnCompleted(Action continuation) => loop.Post(continuation);
    }
}
