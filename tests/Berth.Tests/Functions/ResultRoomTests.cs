using System.IO.Pipelines;
using System.Security.Cryptography;
using Berth.Core.Resources;
using Berth.Server.Results;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Microsoft.AspNetCore.Http.Features;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>What holds inputs and results: its bounds, and that nothing is lost count of.</summary>
public sealed class ResultRoomTests : IDisposable
{
    private readonly ManualTime time = new();
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task What_was_longest_not_asked_for_goes_first_and_nothing_is_lost_count_of()
    {
        ResultRoom room = Room(ByteSize.MiB(1));
        for (int i = 0; i < 40; i++)
        {
            using HeldBytes bytes = new(room, SharedCalls.Largest);
            Assert.True(await bytes.TryAppendAsync(new byte[100 * 1024], CancellationToken.None));
            room.Keep(Key(i), new KeptResult(default, "a/b", bytes), TimeSpan.FromHours(1));
            // The first is asked for again and again, and stays.
            room.Find(Key(0))!.Value.Result.Output.Dispose();
        }

        Assert.InRange(room.Count, 2, 10);
        Assert.InRange(room.Taken, 1, 1024 * 1024);
        Assert.Null(room.Find(Key(20)));
        room.Find(Key(39))!.Value.Result.Output.Dispose();
        using (HeldBytes huge = new(room, SharedCalls.Largest))
        {
            Assert.False(await huge.TryAppendAsync(new byte[1024 * 1024 + 1], CancellationToken.None));
        }

        Assert.Equal((0, 0L), (room.Count, room.Taken));
        Assert.Empty(Directory.EnumerateFiles(folder["r"]));
    }

    [Fact]
    public async Task A_result_goes_when_its_time_is_over_and_stays_with_who_reads_it()
    {
        ResultRoom room = Room(ByteSize.MiB(1));
        await KeepAsync(room, 1, [1, 2, 3]);
        (KeptResult result, TimeSpan age) = room.Find(Key(1))!.Value;
        time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal((TimeSpan.Zero, 1), (age, room.Sweep()));
        byte[] read = new byte[10];
        Assert.Equal(3, await result.Output.ReadAsync(read, 0, CancellationToken.None));
        Assert.Equal((byte[])[1, 2, 3], read[..3]);
        Assert.Null(room.Find(Key(1)));
        result.Output.Dispose();
        Assert.Equal((0, 0L), (room.Count, room.Taken));
    }

    [Fact]
    public async Task A_result_takes_the_place_of_the_one_before()
    {
        ResultRoom room = Room(ByteSize.MiB(1));
        await KeepAsync(room, 1, [1]);
        await KeepAsync(room, 1, [2]);

        using HeldBytes found = room.Find(Key(1))!.Value.Result.Output;
        byte[] read = new byte[1];
        await found.ReadAsync(read, 0, CancellationToken.None);
        Assert.Equal((2, 1), (read[0], room.Count));
    }

    [Fact]
    public async Task Memory_has_a_bound_of_its_own()
    {
        ResultRoom room = Room(ByteSize.GiB(1));
        byte[] small = new byte[HeldBytes.InMemory];
        for (int i = 0; i < 5_000; i++)
        {
            await KeepAsync(room, i, small);
        }

        Assert.InRange(room.Taken, 1, 64 * 1024 * 1024);
        Assert.InRange(room.Count, 3_900, 4_096);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(16 * 1024)]
    [InlineData(16 * 1024 + 1)]
    [InlineData(300_000)]
    public async Task An_input_is_held_and_hashed(int length)
    {
        byte[] body = RandomNumberGenerator.GetBytes(length);
        using HeldInput input = await HeldInput.ReceiveAsync(
            PipeReader.Create(new MemoryStream(body)), new HeldBytes(Room(ByteSize.MiB(1)), 300_000),
            CancellationToken.None);

        Assert.Equal(SHA256.HashData(body), input.Hash);
        Assert.Equal((length, length > HeldBytes.InMemory), (input.Bytes.Length, input.Bytes.IsFile));
        byte[] read = new byte[length + 1];
        int count = 0;
        for (int now; (now = await input.Bytes.ReadAsync(read.AsMemory(count), count, CancellationToken.None)) > 0;)
        {
            count += now;
        }

        Assert.Equal(body, read[..count]);
    }

    [Theory]
    [InlineData(1_000_000, 2_000_000)]
    [InlineData(2_000_000, 100_000)]
    public async Task More_than_may_be_held_comes_whole_as_it_is_sent(int limit, int most)
    {
        byte[] body = RandomNumberGenerator.GetBytes(1_500_000);
        ResultRoom room = Room(ByteSize.FromBytes(limit));
        using HeldInput input = await HeldInput.ReceiveAsync(
            PipeReader.Create(new MemoryStream(body)), new HeldBytes(room, most), CancellationToken.None);
        PipeReader rest = PipeReader.Create(new MemoryStream(body[(int)input.Bytes.Length..]));

        Assert.Null(input.Hash);
        IRequestBodyPipeFeature again = input.Before(rest);
        using MemoryStream all = new();
        await again.Reader.CopyToAsync(all, CancellationToken.None);
        Assert.Equal(body, all.ToArray());
    }

    [Theory]
    [InlineData("no-store", true, false, null)]
    [InlineData("max-age=10, NO-CACHE", false, true, 10)]
    [InlineData("max-age=0", false, true, 0)]
    [InlineData("max-age=\"7\"", false, false, 7)]
    [InlineData("max-age=-1, only-if-cached, private", false, false, null)]
    [InlineData("max-age=99999999999999999999", false, false, null)]
    [InlineData("", false, false, null)]
    public void A_callers_wish_is_read_as_the_rfc_says(string header, bool keepsNothing, bool isAnew, int? age)
    {
        CallWish wish = CallWish.Of(header);

        Assert.Equal(
            new CallWish(keepsNothing, isAnew, age is { } s ? TimeSpan.FromSeconds(s) : TimeSpan.MaxValue), wish);
    }

    private ResultRoom Room(ByteSize limit)
    {
        Directory.CreateDirectory(folder["r"]);
        return new ResultRoom(folder["r"], limit, time);
    }

    private static async Task KeepAsync(ResultRoom room, int key, byte[] content)
    {
        using HeldBytes bytes = new(room, SharedCalls.Largest);
        Assert.True(await bytes.TryAppendAsync(content, CancellationToken.None));
        room.Keep(Key(key), new KeptResult(default, "a/b", bytes), TimeSpan.FromMinutes(1));
    }

    private static ResultKey Key(int number) => new((UInt128)number, 0);
}
