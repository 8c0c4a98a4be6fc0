using Berth.Api.Links;
using Xunit;

namespace Berth.Tests.Links;

public sealed class RetainedBytesTests
{
    private const int Capacity = 2 * LinkProtocol.Window;

    /// <summary>Whatever breaks when: the other end has what was written, each byte once and in order.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Every_byte_arrives_once_whatever_breaks(int seed)
    {
        Random random = new(seed);
        RetainedBytes bytes = new(Capacity);
        List<byte> written = [];
        List<byte> arrived = [];
        int said = 0;
        byte[] buffer = new byte[LinkProtocol.MaxData];
        for (int step = 0; step < 2000; step++)
        {
            switch (random.Next(8))
            {
                case 0 when written.Count - said + 1 < Capacity:
                    byte[] more = new byte[random.Next(1, Math.Min(60_000, Capacity - (written.Count - said)))];
                    random.NextBytes(more);
                    await bytes.WriteAsync(more, CancellationToken.None);
                    written.AddRange(more);
                    break;
                case 1:
                    // What is on its way goes with the link; of what arrived some was not confirmed.
                    await TakeAsync(bytes, buffer);
                    bytes.Loosen();
                    Assert.Equal(arrived.Count, bytes.Resume(new StreamPlace(arrived.Count, arrived.Count - said)));
                    break;
                case 2 when arrived.Count > said:
                    int confirmed = random.Next(1, arrived.Count - said + 1);
                    bytes.Confirm(confirmed);
                    said += confirmed;
                    break;
                default:
                    arrived.AddRange(buffer.AsSpan(0, await TakeAsync(bytes, buffer)));
                    break;
            }

            Assert.True(arrived.Count - said <= LinkProtocol.Window);
        }

        bytes.Complete();
        int count;
        while ((count = await TakeAsync(bytes, buffer)) > 0 || arrived.Count > said)
        {
            arrived.AddRange(buffer.AsSpan(0, count));
            bytes.Confirm(arrived.Count - said);
            said = arrived.Count;
        }

        Assert.NotEmpty(written);
        Assert.Equal(written, arrived);
    }

    [Fact]
    public async Task While_nobody_takes_the_newest_are_kept_and_nobody_waits()
    {
        RetainedBytes bytes = new(Capacity);
        bytes.Loosen();
        byte[] much = [.. Enumerable.Range(0, 3 * Capacity).Select(i => (byte)(i * 7 / 5))];

        await bytes.WriteAsync(much, CancellationToken.None);
        long at = bytes.Resume(new StreamPlace(0, 0));

        Assert.Equal(2 * Capacity, at);
        byte[] buffer = new byte[LinkProtocol.MaxData];
        int count = await bytes.TakeAsync(buffer, CancellationToken.None);
        Assert.Equal(much.AsSpan((int)at, count), buffer.AsSpan(0, count));
    }

    [Fact]
    public async Task With_a_link_who_writes_waits_for_who_reads()
    {
        RetainedBytes bytes = new(LinkProtocol.Window);
        Task writing = bytes.WriteAsync(new byte[LinkProtocol.Window + 1], CancellationToken.None).AsTask();
        byte[] buffer = new byte[LinkProtocol.MaxData];

        int count = await bytes.TakeAsync(buffer, CancellationToken.None);
        Assert.False(writing.IsCompleted);
        bytes.Confirm(count);

        await writing;
    }

    [Fact]
    public async Task Who_writes_to_an_end_that_reads_no_more_is_told()
    {
        RetainedBytes bytes = new(Capacity);
        bytes.Close();

        await Assert.ThrowsAsync<IOException>(() => bytes.WriteAsync(new byte[1], CancellationToken.None).AsTask());
        Assert.Equal(0, await bytes.TakeAsync(new byte[1], CancellationToken.None));
    }

    [Theory]
    [InlineData(11, 0)]
    [InlineData(-1, 0)]
    [InlineData(5, -1)]
    [InlineData(5, LinkProtocol.Window + 1)]
    public async Task A_place_where_nobody_can_be_is_refused(long at, int unsaid)
    {
        RetainedBytes bytes = new(Capacity);
        await bytes.WriteAsync(new byte[10], CancellationToken.None);

        Assert.Throws<LinkException>(() => bytes.Resume(new StreamPlace(at, unsaid)));
    }

    [Fact]
    public void More_than_was_sent_can_t_be_confirmed() =>
        Assert.Throws<LinkException>(() => new RetainedBytes(Capacity).Confirm(1));

    [Fact]
    public async Task A_stream_is_taken_up_where_another_writer_left_it()
    {
        RetainedBytes bytes = new(Capacity);
        await bytes.WriteAsync("behind"u8.ToArray(), CancellationToken.None);
        byte[] buffer = new byte[16];

        bytes.Begin(new StreamPlace(1000, 0));
        int count = await bytes.TakeAsync(buffer, CancellationToken.None);

        Assert.Equal("behind"u8, buffer.AsSpan(0, count));
        bytes.Loosen();
        Assert.Equal(1000, bytes.Resume(new StreamPlace(1000, 0)));
    }

    /// <summary>0 where nothing is to be taken now.</summary>
    private static async Task<int> TakeAsync(RetainedBytes bytes, byte[] buffer)
    {
        using CancellationTokenSource now = new();
        await now.CancelAsync();
        try
        {
            return await bytes.TakeAsync(buffer, now.Token);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }
}
