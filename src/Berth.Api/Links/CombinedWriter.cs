using System.Buffers;

namespace Berth.Api.Links;

/// <summary>
/// Writes the messages of many streams to their one connection, each whole. Who finds nobody writing writes at once, on
/// its own thread; what comes meanwhile goes out together with the next write. Nothing is held back for more.
/// </summary>
/// <param name="connection">Written to by nobody else.</param>
internal sealed class CombinedWriter(Stream connection)
{
    /// <summary>Bytes that may wait for the write before; who has more waits for room.</summary>
    private const int Most = 256 * 1024;

    /// <summary>A buffer that grew past this is not kept.</summary>
    private const int Kept = 64 * 1024;

    private readonly Lock gate = new();
    private ArrayBufferWriter<byte> filling = new();
    private ArrayBufferWriter<byte>? spare = new();
    private TaskCompletionSource? room;
    private Exception? fault;
    private bool isWriting;

    /// <summary>Returns when the message is written, or is left to who writes now. Waits while too much is.</summary>
    /// <exception cref="IOException">The connection takes no more.</exception>
    public async ValueTask WriteAsync(MultiplexKind kind, int stream, ReadOnlyMemory<byte> payload)
    {
        while (!HasRoom(payload.Length, out Task turn))
        {
            await turn;
        }

        if (Add(kind, stream, payload.Span))
        {
            await WriteOwnAsync();
        }
    }

    /// <summary>The same for what is short and can't wait; where the connection takes no more it is dropped: who reads
    /// it finds that out too.</summary>
    public void Post(MultiplexKind kind, int stream, ReadOnlySpan<byte> payload)
    {
        try
        {
            if (Add(kind, stream, payload))
            {
                _ = PostOwnAsync();
            }
        }
        catch (IOException)
        {
            return;
        }
    }

    /// <summary>The same for what something else of the stream follows at once: it travels with that.</summary>
    /// <exception cref="IOException">The connection takes no more.</exception>
    public void Leave(MultiplexKind kind, int stream, ReadOnlySpan<byte> payload)
    {
        lock (gate)
        {
            ThrowIfBroken();
            Put(kind, stream, payload);
        }
    }

    private async Task PostOwnAsync()
    {
        try
        {
            await WriteOwnAsync();
        }
        catch (IOException)
        {
            return;
        }
    }

    /// <param name="turn">When to look again.</param>
    private bool HasRoom(int length, out Task turn)
    {
        lock (gate)
        {
            ThrowIfBroken();
            if (!isWriting || filling.WrittenCount + length <= Most)
            {
                turn = Task.CompletedTask;
                return true;
            }

            room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            turn = room.Task;
            return false;
        }
    }

    /// <returns>Whether it is the caller's to write.</returns>
    private bool Add(MultiplexKind kind, int stream, ReadOnlySpan<byte> payload)
    {
        lock (gate)
        {
            ThrowIfBroken();
            Put(kind, stream, payload);
            return !isWriting && (isWriting = true);
        }
    }

    /// <summary>The caller holds the lock.</summary>
    private void Put(MultiplexKind kind, int stream, ReadOnlySpan<byte> payload)
    {
        MultiplexHead.Write(filling.GetSpan(MultiplexHead.Length), kind, payload.Length, stream);
        filling.Advance(MultiplexHead.Length);
        filling.Write(payload);
    }

    /// <summary>What there is, and with it the caller's. What came meanwhile is another thread's to write, so that
    /// nobody goes on writing for the others.</summary>
    private async ValueTask WriteOwnAsync()
    {
        if (await WriteNextAsync())
        {
            _ = Task.Run(WriteRestAsync);
        }
    }

    private async Task WriteRestAsync()
    {
        try
        {
            while (await WriteNextAsync())
            {
                continue;
            }
        }
        catch (IOException)
        {
            // Told to whoever writes next.
            return;
        }
    }

    /// <returns>Whether there is more.</returns>
    private async ValueTask<bool> WriteNextAsync()
    {
        ArrayBufferWriter<byte> full;
        TaskCompletionSource? waiting;
        lock (gate)
        {
            full = filling;
            filling = spare ?? new ArrayBufferWriter<byte>();
            spare = null;
            waiting = room;
            room = null;
        }

        waiting?.TrySetResult();
        Exception? broken = null;
        try
        {
            await connection.WriteAsync(full.WrittenMemory, CancellationToken.None);
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException or InvalidOperationException
            or OperationCanceledException)
        {
            broken = gone;
        }

        bool isMore;
        lock (gate)
        {
            full.ResetWrittenCount();
            spare = full.Capacity <= Kept ? full : null;
            fault = broken;
            isMore = isWriting = broken is null && filling.WrittenCount > 0;
            waiting = isMore ? null : room;
            room = isMore ? room : null;
        }

        waiting?.TrySetResult();
        return broken is null ? isMore : throw Broken(broken);
    }

    private static IOException Broken(Exception cause) => new("The link is gone.", cause);

    private void ThrowIfBroken()
    {
        if (fault is not null)
        {
            throw Broken(fault);
        }
    }
}
