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

    private static (PipeReadStream Reader, PipeWriteStream Writer) Streams(ReadinessPoller poller)
    {
        var pipe = Pipe.Create();
        return (new PipeReadStream(pipe.ReadEnd, poller), new PipeWriteStream(pipe.WriteEnd, poller));
    }
}
