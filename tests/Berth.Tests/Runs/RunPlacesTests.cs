using Berth.Core.Errors;
using Berth.Server.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>Who gets the places for programs.</summary>
public sealed class RunPlacesTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(4, 3)]
    [InlineData(8, 7)]
    [InlineData(16, 14)]
    [InlineData(1000, 875)]
    public void Of_four_places_and_more_some_are_left_to_other_functions(int places, int most) =>
        Assert.Equal(most, RunPlaces.MostOf(places));

    [Fact]
    public async Task A_function_whose_calls_never_end_does_not_keep_another_from_its_first()
    {
        RunPlaces places = new(8, 100, "x");
        List<Task> flood = [.. Enumerable.Range(0, 50).Select(i => places.TakeForCallAsync("a", $"caller {i}", Token))];

        Assert.Equal((7, 7, 43), (flood.Count(t => t.IsCompleted), places.Taken, places.WaitingCalls));
        await places.TakeForCallAsync("b", "caller 1", Token);
        Task second = places.TakeForCallAsync("b", "caller 1", Token);
        Assert.False(second.IsCompleted);
        places.Release("b");

        await second;
        Assert.Equal((7, 43), (flood.Count(t => t.IsCompleted), places.WaitingCalls));
        places.Release("a");
        await flood[7];
        Assert.Equal((8, 42), (places.Taken, places.WaitingCalls));
    }

    [Fact]
    public async Task More_places_let_in_who_waits_and_fewer_end_nothing()
    {
        RunPlaces places = new(1, 100, "x");
        await places.TakeForCallAsync(null, "first", Token);
        Task second = places.TakeForCallAsync(null, "second", Token);
        Task third = places.TakeForCallAsync(null, "third", Token);

        places.Resize(2);
        await second;
        Assert.False(third.IsCompleted);
        places.Resize(0);
        Assert.Equal((0, 2), (places.Places, places.Taken));
        places.Release();
        places.Release();
        Assert.False(third.IsCompleted);
        places.Resize(1);

        await third;
    }

    [Fact]
    public async Task Functions_have_their_turns_however_many_callers_one_has()
    {
        RunPlaces places = new(1, 100, "x");
        await places.TakeForCallAsync("a", "first", Token);
        List<Task> flood = [.. Enumerable.Range(0, 50).Select(i => places.TakeForCallAsync("a", $"caller {i}", Token))];
        Task rare = places.TakeForCallAsync("b", "caller 7", Token);
        Task byImage = places.TakeForCallAsync(null, "caller 7", Token);
        Task task = places.TakeForTaskAsync(Token);

        places.Release("a");
        await flood[0];
        places.Release("a");
        await rare;
        places.Release("b");
        await byImage;
        places.Release();
        await task;
        Assert.Equal(1, flood.Count(t => t.IsCompleted));
    }

    [Fact]
    public async Task A_full_line_lets_in_who_calls_another_function_and_sends_the_newest_of_the_flood_away()
    {
        RunPlaces places = new(1, 5, "x");
        await places.TakeForCallAsync("a", "first", Token);
        Task[] flood = [.. Enumerable.Range(0, 5).Select(i => places.TakeForCallAsync("a", $"caller {i}", Token))];

        await Assert.ThrowsAsync<BerthException>(() => places.TakeForCallAsync("a", "caller 9", Token));
        Task rare = places.TakeForCallAsync("b", "caller 1", Token);

        Assert.False(rare.IsCompleted);
        await Assert.ThrowsAsync<BerthException>(() => Task.WhenAny(flood).Unwrap());
        Assert.Equal(1, flood.Count(t => t.IsCompleted));
    }

    /// <summary>Whatever comes and goes: no more than the places, no function more than its part, and nobody waits whom
    /// nothing keeps out.</summary>
    [Fact]
    public void Whatever_comes_and_goes_the_bounds_hold_and_nobody_waits_for_nothing()
    {
        Random random = new(11);
        for (int round = 0; round < 50; round++)
        {
            int count = 1 + random.Next(12);
            RunPlaces places = new(count, 20, "x");
            List<(string? Function, Task Turn, CancellationTokenSource Cancel)> calls = [];
            for (int step = 0; step < 300; step++)
            {
                var inside = calls.FindAll(c => c.Turn.IsCompletedSuccessfully);
                var outside = calls.FindAll(c => !c.Turn.IsCompleted);
                switch (random.Next(5))
                {
                    case 0 or 1 when inside.Count > 0:
                        var leaving = inside[random.Next(inside.Count)];
                        calls.Remove(leaving);
                        places.Release(leaving.Function);
                        break;
                    case 2 when outside.Count > 0:
                        var lost = outside[random.Next(outside.Count)];
                        calls.Remove(lost);
                        lost.Cancel.Cancel();
                        break;
                    default:
                        string? function = random.Next(4) is var f && f == 3 ? null : $"f{f * f}";
                        CancellationTokenSource cancel = new();
                        try
                        {
                            Task turn = places.TakeForCallAsync(function, $"c{random.Next(3)}", cancel.Token);
                            calls.Add((function, turn, cancel));
                        }
                        catch (BerthException)
                        {
                            // The line is full.
                        }

                        break;
                }

                Assert.True(
                    SpinWait.SpinUntil(
                        () => calls.Count(c => c.Turn.IsCompletedSuccessfully) == places.Taken
                            && calls.Count(c => !c.Turn.IsCompleted) == places.WaitingCalls,
                        TimeSpan.FromSeconds(30)),
                    $"{places.Taken} places are taken, and {places.WaitingCalls} calls wait, but those who have one: "
                    + $"{calls.Count(c => c.Turn.IsCompletedSuccessfully)} of {calls.Count}.");
                calls.RemoveAll(c => c.Turn.IsFaulted || c.Turn.IsCanceled);
                AssertRight(places, count, [.. calls.Select(c => (c.Function, c.Turn.IsCompleted))]);
            }
        }
    }

    private static void AssertRight(RunPlaces places, int count, (string? Function, bool IsInside)[] calls)
    {
        int inside = calls.Count(c => c.IsInside);
        Assert.Equal(inside, places.Taken);
        Assert.True(inside <= count);
        foreach (IGrouping<string, (string? Function, bool IsInside)> function in calls
            .Where(c => c.Function is not null).GroupBy(c => c.Function!))
        {
            int held = function.Count(c => c.IsInside);
            Assert.True(held <= RunPlaces.MostOf(count), $"{function.Key} has {held} of {count} places.");
            Assert.True(
                held == RunPlaces.MostOf(count) || inside == count || function.All(c => c.IsInside),
                $"{function.Key} waits with {held} of {count} places, of which {inside} are taken.");
        }

        Assert.True(inside == count || calls.All(c => c.Function is not null || c.IsInside));
    }
}
