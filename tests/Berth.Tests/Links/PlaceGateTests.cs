using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Resources;
using Berth.Node.Links;
using Berth.Testing.Clocks;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>A node's own word about its room.</summary>
public sealed class PlaceGateTests
{
    private static readonly AdmissionDemand Small = new(TakesPlace: true, ByteSize.MiB(256));

    private readonly ManualTime time = new();
    private readonly PlaceGate gate;

    public PlaceGateTests() => gate = new PlaceGate(2, ByteSize.GiB(1), time);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_finds_no_place_is_refused_after_a_moment_and_told_why()
    {
        using IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable second = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> third = gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token).AsTask();
        Assert.False(third.IsCompleted);

        time.Advance(TimeSpan.FromSeconds(1));

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => third);
        Assert.Equal((ErrorCode.NoNode, 2), (refusal.Code, gate.Taken));
        Assert.Equal("The node has no room for it. Its places are taken, 2 of 2.", refusal.Message);
        Assert.NotNull(refusal.RetryAfter);
    }

    [Fact]
    public async Task What_ends_in_that_moment_leaves_its_place()
    {
        IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable second = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> third = gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token).AsTask();

        first.Dispose();
        first.Dispose();

        using IDisposable got = await third;
        Assert.Equal(2, gate.Taken);
    }

    [Fact]
    public async Task Memory_is_judged_too_and_what_is_too_large_holds_up_nobody()
    {
        PlaceGate wide = new(10, ByteSize.GiB(1), time);
        AdmissionDemand more = Small with { Memory = ByteSize.MiB(600) };
        using IDisposable first = await wide.TakeAsync(more, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> large = wide.TakeAsync(more, yields: true, TimeSpan.Zero, Token).AsTask();

        using IDisposable second = await wide.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);

        time.Advance(TimeSpan.FromSeconds(1));
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => large);
        Assert.Contains("It has promised", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(ByteSize.MiB(856), wide.Promised);
    }

    [Fact]
    public async Task An_instance_takes_memory_and_no_place()
    {
        using IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable second = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);

        using IDisposable third = await gate.TakeAsync(
            Small with { TakesPlace = false }, yields: true, TimeSpan.Zero, Token);

        Assert.Equal((2, ByteSize.MiB(768)), (gate.Taken, gate.Promised));
    }

    [Fact]
    public async Task What_can_t_be_refused_waits_longer_and_then_runs_all_the_same()
    {
        using IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable second = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> third = gate.TakeAsync(Small, yields: false, TimeSpan.Zero, Token).AsTask();

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(third.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(5));

        using IDisposable got = await third;
        Assert.Equal(3, gate.Taken);
    }

    [Fact]
    public async Task Who_goes_away_while_it_waits_holds_nothing()
    {
        IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        IDisposable second = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using CancellationTokenSource gone = new();
        Task<IDisposable> third = gate.TakeAsync(Small, yields: true, TimeSpan.Zero, gone.Token).AsTask();

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
        first.Dispose();
        second.Dispose();

        Assert.Equal((0, ByteSize.Zero), (gate.Taken, gate.Promised));
    }

    [Fact]
    public async Task However_many_come_at_once_no_more_run_than_there_is_room_for()
    {
        PlaceGate busy = new(5, ByteSize.GiB(64), TimeProvider.System);
        int running = 0;
        int most = 0;

        int[] ends = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => Task.Run(async () =>
        {
            try
            {
                using IDisposable place = await busy.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
                InterlockedMax(ref most, Interlocked.Increment(ref running));
                await Task.Delay(5, Token);
                Interlocked.Decrement(ref running);
                return 1;
            }
            catch (BerthException refusal) when (refusal.Code == ErrorCode.NoNode)
            {
                return 0;
            }
        }, Token)));

        Assert.Equal(5, most);
        Assert.InRange(ends.Sum(), 5, 200);
        Assert.Equal(0, busy.Taken);
    }

    private static void InterlockedMax(ref int most, int value)
    {
        int seen;
        while (value > (seen = Volatile.Read(ref most)) && Interlocked.CompareExchange(ref most, value, seen) != seen)
        {
            continue;
        }
    }

    [Fact]
    public async Task What_comes_free_for_one_is_kept_from_all_that_come_after_it()
    {
        PlaceGate wide = new(10, ByteSize.GiB(1), time);
        IDisposable first = await wide.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        IDisposable second = await wide.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable third = await wide.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> large = wide.TakeAsync(
            Small with { Memory = ByteSize.MiB(700) }, yields: true, TimeSpan.FromSeconds(20), Token).AsTask();
        Task<IDisposable> small = wide.TakeAsync(Small, yields: true, TimeSpan.Zero, Token).AsTask();

        first.Dispose();
        time.Advance(TimeSpan.FromSeconds(1));
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => small);
        second.Dispose();

        using IDisposable got = await large;
        Assert.Equal(
            "The node has no room for it. What comes free is kept for work of higher priority.", refusal.Message);
        Assert.Equal(ByteSize.MiB(956), wide.Promised);
    }

    [Fact]
    public async Task What_is_not_left_in_time_is_others_again()
    {
        using IDisposable first = await gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token);
        using IDisposable second = await gate.TakeAsync(
            Small with { TakesPlace = false }, yields: true, TimeSpan.Zero, Token);
        Task<IDisposable> large = gate.TakeAsync(
            Small with { Memory = ByteSize.GiB(1) }, yields: true, TimeSpan.FromSeconds(20), Token).AsTask();
        time.Advance(TimeSpan.FromSeconds(19.9));
        Task<IDisposable> small = gate.TakeAsync(Small, yields: true, TimeSpan.Zero, Token).AsTask();
        Assert.False(large.IsCompleted || small.IsCompleted);

        time.Advance(TimeSpan.FromMilliseconds(150));

        await Assert.ThrowsAsync<BerthException>(() => large);
        using IDisposable got = await small;
    }
}
