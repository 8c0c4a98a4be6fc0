using System.Security.Cryptography;
using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>Pipes as streams.</summary>
public sealed class PipeStreamTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ReadinessPoller poller = new();

    public void Dispose() => poller.Dispose();

    [Fact]
    public async Task What_is_written_is_read_whatever_the_sizes()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        byte[] sent = RandomNumberGenerator.GetBytes(5_000_003);

        Task writing = WriteInPiecesAsync(writer, sent);
        using MemoryStream received = new();
        await reader.CopyToAsync(received).WaitAsync(Patience);
        await writing.WaitAsync(Patience);

        Assert.Equal(sent, received.ToArray());
        await reader.DisposeAsync();
        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public async Task A_pending_read_is_completed_by_a_write()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        byte[] buffer = new byte[16];
        ValueTask<int> pending = reader.ReadAsync(buffer);
        Assert.False(pending.IsCompleted);

        await writer.WriteAsync(new byte[] { 42 });

        Assert.Equal(1, await pending.AsTask().WaitAsync(Patience));
        Assert.Equal(42, buffer[0]);
    }

    [Fact]
    public async Task The_end_is_zero_again_and_again()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        Task<int> pending = reader.ReadAsync(new byte[1]).AsTask();
        await writer.DisposeAsync();

        Assert.Equal(0, await pending.WaitAsync(Patience));
        Assert.Equal(0, await reader.ReadAsync(new byte[1]));
        Assert.Equal(0, reader.Read(new byte[1]));
    }

    [Fact]
    public async Task Writing_without_a_reader_throws_IOException()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        await reader.DisposeAsync();

        LinuxException error = await Assert.ThrowsAsync<LinuxException>(
            () => writer.WriteAsync(new byte[1]).AsTask().WaitAsync(Patience));

        Assert.Equal(Errno.BrokenPipe, error.Errno);
        Assert.IsType<IOException>(error, exactMatch: false);
    }

    [Fact]
    public async Task A_pending_write_learns_that_the_reader_has_gone()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        Task pending = writer.WriteAsync(new byte[10 * Pipe.LargestBuffer]).AsTask();
        Assert.False(pending.IsCompleted);

        await reader.DisposeAsync();

        await Assert.ThrowsAsync<LinuxException>(() => pending.WaitAsync(Patience));
    }

    [Fact]
    public async Task A_canceled_read_takes_nothing_and_the_next_one_works()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        using CancellationTokenSource cancellation = new();
        Task<int> pending = reader.ReadAsync(new byte[1], cancellation.Token).AsTask();

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending.WaitAsync(Patience));
        Task<int> next = reader.ReadAsync(new byte[1]).AsTask();
        await writer.WriteAsync(new byte[1]);
        Assert.Equal(1, await next.WaitAsync(Patience));
    }

    [Fact]
    public async Task Cancellation_races_with_data_without_losing_any()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        int received = 0;
        for (int i = 0; i < 2_000; i++)
        {
            using CancellationTokenSource cancellation = new();
            Task<int> pending = reader.ReadAsync(new byte[1], cancellation.Token).AsTask();
            Task canceling = Task.Run(cancellation.Cancel);
            await writer.WriteAsync(new byte[1]);
            await canceling;
            try
            {
                received += await pending.WaitAsync(Patience);
            }
            catch (OperationCanceledException)
            {
                received += await reader.ReadAsync(new byte[1]).AsTask().WaitAsync(Patience);
            }
        }

        Assert.Equal(2_000, received);
    }

    [Fact]
    public async Task Disposing_ends_a_pending_read_and_write()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        (PipeReadStream other, PipeWriteStream full) = Streams();
        Task read = reader.ReadAsync(new byte[1]).AsTask();
        Task write = full.WriteAsync(new byte[10 * Pipe.LargestBuffer]).AsTask();

        await reader.DisposeAsync();
        await full.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WaitAsync(Patience));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => write.WaitAsync(Patience));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => reader.ReadAsync(new byte[1]).AsTask());
        await writer.DisposeAsync();
        await other.DisposeAsync();
        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public async Task Disposing_the_poller_ends_what_waits_on_it()
    {
        ReadinessPoller own = new();
        using Pipe pipe = Pipe.Create();
        await using PipeReadStream reader = new(pipe.ReadEnd.Duplicate(), own);
        Task pending = reader.ReadAsync(new byte[1]).AsTask();

        own.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => pending.WaitAsync(Patience));
    }

    [Fact]
    public async Task What_seldom_comes_is_read_when_it_does()
    {
        using Pipe pipe = Pipe.Create();
        await using PipeReadStream reader = new(pipe.ReadEnd, poller, isSeldom: true);
        byte[] buffer = new byte[16];
        Task<int> pending = reader.ReadAsync(buffer).AsTask();
        await using PipeWriteStream writer = new(pipe.WriteEnd, poller);
        await writer.WriteAsync(new byte[] { 42 });

        Assert.Equal(1, await pending.WaitAsync(Patience));
        Assert.Equal(42, buffer[0]);
        pending = reader.ReadAsync(buffer).AsTask();
        await writer.WriteAsync(new byte[] { 43, 44 });
        Assert.Equal(2, await pending.WaitAsync(Patience));
    }

    [Fact]
    public async Task Who_is_told_to_look_finds_the_end_unwatched()
    {
        using ReadinessPoller own = new();
        using Pipe pipe = Pipe.Create();
        await using PipeReadStream reader = new(pipe.ReadEnd, own, isSeldom: true);
        pipe.WriteEnd.Dispose();
        Task<int> pending = reader.ReadAsync(new byte[1]).AsTask();

        reader.Look();

        Assert.True(pending.IsCompletedSuccessfully);
        Assert.Equal(0, await pending);
        Assert.Equal(0, own.WatchedCount);
    }

    [Fact]
    public async Task Disposing_the_poller_ends_what_it_was_not_asked_for_yet()
    {
        ReadinessPoller own = new();
        using Pipe pipe = Pipe.Create();
        await using PipeReadStream reader = new(pipe.ReadEnd.Duplicate(), own, isSeldom: true);
        Task pending = reader.ReadAsync(new byte[1]).AsTask();

        own.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => pending.WaitAsync(Patience));
    }

    [Fact]
    public async Task A_pipe_that_is_used_for_much_grows()
    {
        using Pipe pipe = Pipe.Create();
        await using PipeWriteStream writer = new(pipe.WriteEnd, poller, Pipe.LargestBuffer);

        // Nobody reads, so all of it has to fit.
        await writer.WriteAsync(new byte[Pipe.LargestBuffer]).AsTask().WaitAsync(Patience);

        Assert.Equal(Pipe.LargestBuffer, writer.BytesWritten);
    }

    [Fact]
    public async Task What_is_written_ahead_is_read_once_and_counted_once_however_it_is_written_then()
    {
        byte[] sent = RandomNumberGenerator.GetBytes(PipeWriteStream.MostAhead + 5_000);
        foreach (int known in (int[])[0, 1, 7, PipeWriteStream.MostAhead])
        {
            (PipeReadStream reader, PipeWriteStream writer) = Streams();
            Assert.False(writer.TryWriteAhead(sent.AsSpan(0, known), isAll: false));
            Assert.Equal(known, writer.BytesWritten);

            await ArrivesOnceAsync(reader, writer, sent);
        }
    }

    [Fact]
    public async Task All_of_it_written_ahead_is_the_end_for_the_reader_and_nothing_to_do_for_the_writer()
    {
        foreach (int length in (int[])[0, 1, PipeWriteStream.MostAhead])
        {
            (PipeReadStream reader, PipeWriteStream writer) = Streams();
            byte[] sent = RandomNumberGenerator.GetBytes(length);
            Assert.True(writer.TryWriteAhead(sent, isAll: true));

            using MemoryStream received = new();
            await reader.CopyToAsync(received).WaitAsync(Patience);
            Assert.Equal(sent, received.ToArray());
            // Its reader has gone, which concerns nobody any more.
            await reader.DisposeAsync();
            Assert.True(writer.CanWrite);
            await new MemoryStream(sent).CopyToAsync(writer).WaitAsync(Patience);
            Assert.Equal(length, writer.BytesWritten);
            await writer.DisposeAsync();
            Assert.False(writer.CanWrite);
        }
    }

    [Fact]
    public async Task What_there_is_no_room_for_ahead_is_written_when_there_is()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        byte[] sent = RandomNumberGenerator.GetBytes(3 * Pipe.LargestBuffer);
        Assert.False(writer.TryWriteAhead(sent, isAll: true));
        Assert.InRange(writer.BytesWritten, 1, sent.Length - 1);

        await ArrivesOnceAsync(reader, writer, sent);
    }

    [Fact]
    public async Task Writing_ahead_without_a_reader_leaves_the_fault_to_the_writer()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        await reader.DisposeAsync();

        Assert.False(writer.TryWriteAhead(new byte[10], isAll: true));

        await Assert.ThrowsAsync<LinuxException>(() => writer.WriteAsync(new byte[10]).AsTask());
        Assert.Equal(0, writer.BytesWritten);
    }

    [Fact]
    public async Task Blocking_calls_wait_too()
    {
        (PipeReadStream reader, PipeWriteStream writer) = Streams();
        byte[] sent = RandomNumberGenerator.GetBytes(3 * Pipe.LargestBuffer);
        Task writing = Task.Run(() =>
        {
            writer.Write(sent);
            writer.Dispose();
        });

        using MemoryStream received = new();
        await Task.Run(() => reader.CopyTo(received)).WaitAsync(Patience);
        await writing.WaitAsync(Patience);

        Assert.Equal(sent, received.ToArray());
    }

    [Fact]
    public async Task Many_pipes_share_one_poller()
    {
        Task[] echoes = [.. Enumerable.Range(0, 200).Select(async i =>
        {
            (PipeReadStream reader, PipeWriteStream writer) = Streams();
            byte[] buffer = new byte[1];
            for (int turn = 0; turn < 50; turn++)
            {
                Task<int> reading = reader.ReadAsync(buffer).AsTask();
                await Task.Yield();
                await writer.WriteAsync(new[] { (byte)(i + turn) });
                Assert.Equal(1, await reading);
                Assert.Equal((byte)(i + turn), buffer[0]);
            }

            await writer.DisposeAsync();
            await reader.DisposeAsync();
        })];

        await Task.WhenAll(echoes).WaitAsync(Patience);

        Assert.Equal(0, poller.WatchedCount);
    }

    /// <summary>All of it, however much of it is in the pipe already.</summary>
    private static async Task ArrivesOnceAsync(PipeReadStream reader, PipeWriteStream writer, byte[] sent)
    {
        Task writing = WriteInPiecesAsync(writer, sent);
        using MemoryStream received = new();
        await reader.CopyToAsync(received).WaitAsync(Patience);
        await writing.WaitAsync(Patience);

        Assert.Equal(sent, received.ToArray());
        Assert.Equal(sent.Length, writer.BytesWritten);
    }

    private static async Task WriteInPiecesAsync(PipeWriteStream writer, ReadOnlyMemory<byte> content)
    {
        for (int size = 1; !content.IsEmpty; size = (size * 3) + 1)
        {
            int now = Math.Min(size, content.Length);
            await writer.WriteAsync(content[..now]);
            content = content[now..];
        }

        await writer.DisposeAsync();
    }

    private (PipeReadStream Reader, PipeWriteStream Writer) Streams()
    {
        var pipe = Pipe.Create();
        return (new PipeReadStream(pipe.ReadEnd, poller), new PipeWriteStream(pipe.WriteEnd, poller));
    }
}
