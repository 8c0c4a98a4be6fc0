using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>Who waits for a descriptor goes on in the thread that found it ready, and holds up nobody there.</summary>
public sealed class ReadinessPollerTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>More than it can have threads.</summary>
    private static readonly int Many = Environment.ProcessorCount + 4;

    [Fact]
    public async Task Waiters_that_block_hold_up_no_other()
    {
        using ReadinessPoller poller = new();
        using ManualResetEventSlim release = new();
        using CountdownEvent blocked = new(Many);
        List<Task> waiters = [];
        List<PipeWriteStream> writers = [];
        for (int i = 0; i < Many; i++)
        {
            (PipeReadStream reader, PipeWriteStream writer) = Streams(poller);
            writers.Add(writer);
            waiters.Add(BlockAsync(reader));
        }

        try
        {
            foreach (PipeWriteStream writer in writers)
            {
                await writer.WriteAsync(new byte[] { 1 });
            }

            Assert.True(await Task.Run(() => blocked.Wait(Patience)), $"{blocked.CurrentCount} of {Many} never ran.");
        }
        finally
        {
            release.Set();
        }

        await Task.WhenAll(waiters).WaitAsync(Patience);

        async Task BlockAsync(PipeReadStream reader)
        {
            await using (reader)
            {
                _ = await reader.ReadAsync(new byte[1]).ConfigureAwait(false);
                blocked.Signal();
                release.Wait(Patience);
            }
        }
    }

    [Fact]
    public async Task Who_waited_may_dispose_it()
    {
        ReadinessPoller poller = new();
        (PipeReadStream reader, PipeWriteStream writer) = Streams(poller);
        Task waiter = DisposeAsync();

        await writer.WriteAsync(new byte[] { 1 });

        await waiter.WaitAsync(Patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => Streams(poller).Reader.ReadAsync(new byte[1]).AsTask());

        async Task DisposeAsync()
        {
            _ = await reader.ReadAsync(new byte[1]).ConfigureAwait(false);
            poller.Dispose();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_second_direction_is_watched_from_when_somebody_waits_for_it(bool readsFirst)
    {
        using ReadinessPoller poller = new();
        using SocketPair pair = SocketPair.Create();
        using PolledDescriptor ours = new(pair.Ours.Duplicate(), poller);
        using PolledDescriptor theirs = new(pair.Theirs.Duplicate(), poller);
        byte[] much = new byte[4 * 1024 * 1024];
        byte[] buffer = new byte[much.Length];
        Task<int>? reading = null;
        Task? writing = null;
        foreach (bool reads in (bool[])[readsFirst, !readsFirst])
        {
            if (reads)
            {
                reading = ours.ReadAsync(buffer, CancellationToken.None).AsTask();
            }
            else
            {
                writing = ours.WriteAsync(much, CancellationToken.None).AsTask();
            }
        }

        Assert.False(reading!.IsCompleted);
        Assert.False(writing!.IsCompleted);
        await theirs.WriteAsync(new byte[] { 42 }, CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.Equal(1, await reading.WaitAsync(Patience));
        Assert.Equal(42, buffer[0]);

        // Again and again, with both directions waited for.
        int taken = 0;
        while (taken < much.Length)
        {
            reading = ours.ReadAsync(buffer, CancellationToken.None).AsTask();
            taken += await theirs.ReadAsync(much, CancellationToken.None).AsTask().WaitAsync(Patience);
            await theirs.WriteAsync(new byte[] { 43 }, CancellationToken.None).AsTask().WaitAsync(Patience);
            Assert.Equal(1, await reading.WaitAsync(Patience));
        }

        await writing.WaitAsync(Patience);
        Assert.Equal(much.Length, taken);
    }

    [Fact]
    public async Task What_came_before_its_direction_was_watched_is_not_missed()
    {
        using ReadinessPoller poller = new();
        using SocketPair pair = SocketPair.Create();
        using PolledDescriptor ours = new(pair.Ours.Duplicate(), poller);
        using PolledDescriptor theirs = new(pair.Theirs.Duplicate(), poller);
        byte[] much = new byte[4 * 1024 * 1024];
        Task writing = ours.WriteAsync(much, CancellationToken.None).AsTask();
        Assert.False(writing.IsCompleted);
        await theirs.WriteAsync(new byte[] { 42 }, CancellationToken.None);

        // Watched for writing alone until now.
        await ours.WaitReadableAsync(CancellationToken.None).AsTask().WaitAsync(Patience);

        Assert.Equal(1, await ours.ReadAsync(new byte[8], CancellationToken.None).AsTask().WaitAsync(Patience));
        ours.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => writing.WaitAsync(Patience));
    }

    private static (PipeReadStream Reader, PipeWriteStream Writer) Streams(ReadinessPoller poller)
    {
        var pipe = Pipe.Create();
        return (new PipeReadStream(pipe.ReadEnd, poller), new PipeWriteStream(pipe.WriteEnd, poller));
    }
}
