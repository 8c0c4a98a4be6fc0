using System.Buffers;
using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace Berth.Server.Loops;

/// <summary>
/// A connected socket that an <see cref="EventLoop"/> watches, with one reader and one writer at a time. Calls are
/// tried at once; who has to wait goes on in the loop's thread.
/// </summary>
internal sealed class LoopSocket : IDisposable
{
    /// <summary>Calls in a row that found the kernel ready; then others have their turn.</summary>
    private const int LongestStreak = 16;

    private readonly Socket socket;
    private readonly SafeSocketHandle handle;
    private readonly EventLoop loop;
    private readonly LoopSignal readable = new();
    private readonly LoopSignal writable = new();
    private readonly long key;
    private int readStreak;
    private int writeStreak;

    /// <summary>The kernel had less than was asked for: only an edge brings more.</summary>
    private bool isDrained;

    /// <summary>The end has come, and no further edge will tell of it.</summary>
    private volatile bool hasEnded;

    /// <summary>Urgent data (RFC 6093) came once: a read stops short at its mark and no edge tells of what is behind.
    /// </summary>
    private volatile bool hasMarks;

    /// <param name="socket">Becomes this object's own. Nothing asynchronous was done with it, or the runtime watches it
    /// too and wakes a thread for every edge.</param>
    public LoopSocket(Socket socket, EventLoop loop)
    {
        this.socket = socket;
        this.loop = loop;
        handle = socket.SafeHandle;
        key = loop.Watch(handle, this);
    }

    public Socket Inner => socket;

    public EventLoop Loop => loop;

    /// <summary>Whether the loop has seen more come, or the end, than was read.</summary>
    public bool HasNews => !isDrained || hasEnded || readable.IsSet;

    /// <summary>Completes when a read would not wait, so that nobody has to hold memory for one.</summary>
    public ValueTask ReadableAsync() =>
        !isDrained || hasEnded || readable.IsSet ? ValueTask.CompletedTask : WaitReadableAsync();

    /// <returns>Bytes read; 0 at the end.</returns>
    /// <exception cref="IOException">The connection broke.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer)
    {
        if (++readStreak > LongestStreak)
        {
            readStreak = 0;
            await loop.NextTurn();
        }

        while (true)
        {
            if (!isDrained || hasEnded || readable.IsSet)
            {
                readable.Reset();
                int count = TryReceive(buffer.Span);
                if (count >= 0)
                {
                    isDrained = count < buffer.Length && !hasMarks;
                    return count;
                }
            }

            readStreak = 0;
            await readable.WaitAsync();
            isDrained = false;
        }
    }

    /// <summary>Sends all.</summary>
    /// <param name="hasMore">More follows at once and may travel with it.</param>
    /// <exception cref="IOException">The connection broke.</exception>
    public ValueTask SendAsync(ReadOnlyMemory<byte> bytes, bool hasMore = false)
    {
        writable.Reset();
        int count = TrySend(bytes.Span, hasMore);
        return count == bytes.Length && ++writeStreak <= LongestStreak
            ? ValueTask.CompletedTask
            : SendRestAsync(bytes[Math.Max(count, 0)..], hasMore);
    }

    /// <summary>As <see cref="SendAsync(ReadOnlyMemory{byte}, bool)"/>.</summary>
    public async ValueTask SendAsync(ReadOnlySequence<byte> bytes)
    {
        while (!bytes.IsSingleSegment)
        {
            ReadOnlyMemory<byte> first = bytes.First;
            bytes = bytes.Slice(first.Length);
            await SendAsync(first, hasMore: !bytes.IsEmpty);
        }

        if (!bytes.IsEmpty)
        {
            await SendAsync(bytes.First);
        }
    }

    public void OnReady(uint events)
    {
        const uint Ended = LoopLibc.EPOLLERR | LoopLibc.EPOLLHUP | LoopLibc.EPOLLRDHUP;
        if ((events & Ended) != 0)
        {
            hasEnded = true;
        }

        if ((events & LoopLibc.EPOLLPRI) != 0)
        {
            hasMarks = true;
        }

        if ((events & (LoopLibc.EPOLLIN | LoopLibc.EPOLLPRI | Ended)) != 0)
        {
            readable.Set();
        }

        if ((events & (LoopLibc.EPOLLOUT | Ended)) != 0)
        {
            writable.Set();
        }
    }

    /// <summary>Ends both directions; what is on its way still arrives.</summary>
    public void Dispose()
    {
        if (Close())
        {
            try
            {
                socket.Shutdown(SocketShutdown.Both);
            }
            catch (SocketException)
            {
                // It was not connected any more.
            }

            socket.Dispose();
        }
    }

    /// <summary>Ends it with a reset, so that the other end does not take it for an orderly end.</summary>
    public void Abort()
    {
        if (Close())
        {
            socket.Close(timeout: 0);
        }
    }

    private bool Close()
    {
        lock (readable)
        {
            if (readable.IsClosed)
            {
                return false;
            }

            loop.Forget(handle, key);
            readable.Close();
            writable.Close();
            return true;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WaitReadableAsync()
    {
        await readable.WaitAsync();
        isDrained = false;
    }

    private async ValueTask SendRestAsync(ReadOnlyMemory<byte> bytes, bool hasMore)
    {
        writeStreak = 0;
        if (bytes.IsEmpty)
        {
            await loop.NextTurn();
        }

        while (!bytes.IsEmpty)
        {
            writable.Reset();
            int count = TrySend(bytes.Span, hasMore);
            if (count < 0)
            {
                await writable.WaitAsync();
                continue;
            }

            bytes = bytes[count..];
        }
    }

    /// <summary>-1 when the kernel would block.</summary>
    private unsafe int TryReceive(Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint count;
            while ((count = LoopLibc.Receive(handle, start, buffer.Length, LoopLibc.MSG_DONTWAIT)) < 0)
            {
                if (!IsPassing("recv"))
                {
                    return -1;
                }
            }

            return (int)count;
        }
    }

    /// <summary>-1 when the kernel would block.</summary>
    private unsafe int TrySend(ReadOnlySpan<byte> buffer, bool hasMore)
    {
        int flags = LoopLibc.MSG_DONTWAIT | LoopLibc.MSG_NOSIGNAL | (hasMore ? LoopLibc.MSG_MORE : 0);
        fixed (byte* start = buffer)
        {
            nint count;
            while ((count = LoopLibc.Send(handle, start, buffer.Length, flags)) < 0)
            {
                if (!IsPassing("send"))
                {
                    return -1;
                }
            }

            return (int)count;
        }
    }

    /// <returns>True to try again at once, false to wait.</returns>
    private static bool IsPassing(string call)
    {
        int error = Marshal.GetLastPInvokeError();
        return error switch
        {
            LoopLibc.EINTR => true,
            LoopLibc.EAGAIN => false,
            LoopLibc.EPIPE or LoopLibc.ECONNRESET or LoopLibc.ECONNABORTED =>
                throw new ConnectionResetException("The other end closed the connection."),
            _ => throw new IOException($"{call} failed: {new Win32Exception(error).Message}."),
        };
    }
}
