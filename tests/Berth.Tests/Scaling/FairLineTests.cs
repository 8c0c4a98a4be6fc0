using Berth.Core.Scaling;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Scaling;

public sealed class FairLineTests
{
    [Fact]
    public void Callers_are_served_in_turn_and_each_in_its_own_order()
    {
        FairLine<string> line = new(100);
        foreach (string item in (string[])["a1", "a2", "a3", "b1", "c1", "b2"])
        {
            Assert.NotNull(line.Add(item[..1], item, out _));
        }

        Assert.Equal(["a1", "b1", "c1", "a2", "b2", "a3"], TakeAll(line));
        Assert.Equal(0, line.Count);
    }

    [Fact]
    public void Groups_are_served_in_turn_and_within_each_its_callers()
    {
        FairLine<string> line = new(100);
        foreach (string item in (string[])["ax1", "ax2", "ay1", "az1", "bx1", "bx2", "ax3", "by1"])
        {
            Assert.NotNull(line.Add(item[..1], item[1..2], item, out _));
        }

        Assert.Equal(["ax1", "bx1", "ay1", "by1", "az1", "bx2", "ax2", "ax3"], TakeAll(line));
        Assert.True(line.IsEmpty);
    }

    [Fact]
    public void A_full_line_of_groups_sends_the_longest_groups_newest_away_and_within_one_the_longest_callers()
    {
        FairLine<string> line = new(4);
        foreach (string item in (string[])["ax1", "ax2", "ax3", "ay1"])
        {
            Assert.NotNull(line.Add("a", item[1..2], item, out _));
        }

        Assert.NotNull(line.Add("a", "z", "az1", out string? within));
        Assert.NotNull(line.Add("b", "x", "bx1", out string? across));
        Assert.Null(line.Add("a", "z", "az2", out _));

        Assert.Equal(("ax3", "ax2"), (within, across));
        Assert.Equal(["ax1", "bx1", "ay1", "az1"], TakeAll(line));
    }

    [Fact]
    public void Groups_that_may_not_enter_keep_their_turns()
    {
        FairLine<string> line = new(10);
        line.Add("a", "x", "a1", out _);
        line.Add("b", "x", "b1", out _);

        Assert.True(line.TryTake(group => group != "a", out string? let));
        Assert.False(line.TryTake(group => group != "a", out _));

        Assert.Equal("b1", let);
        Assert.Equal(["a1"], TakeAll(line));
    }

    [Fact]
    public void A_full_line_takes_a_newcomer_and_sends_the_newest_of_who_waits_with_most_away()
    {
        FairLine<string> line = new(3);
        line.Add("a", "a1", out _);
        line.Add("a", "a2", out _);
        line.Add("a", "a3", out _);

        Assert.Null(line.Add("a", "a4", out _));
        Assert.NotNull(line.Add("b", "b1", out string? yielded));
        Assert.Equal("a3", yielded);
        // One each more would be no fairer.
        Assert.Null(line.Add("b", "b2", out _));
        Assert.Equal(["a1", "b1", "a2"], TakeAll(line));
    }

    [Fact]
    public void Who_is_not_counted_gets_into_a_full_line_has_its_turn_and_never_yields()
    {
        FairLine<string> line = new(2);
        line.Add("a", "a1", out _);
        line.Add("a", "a2", out _);
        line.AddUncounted("z", "z1");
        line.AddUncounted("z", "z2");
        FairLine<string>.Place last = line.AddUncounted("z", "z3");

        Assert.NotNull(line.Add("b", "b1", out string? yielded));
        line.Remove(last);

        Assert.Equal(("a2", 2), (yielded, line.Count));
        Assert.Equal(["a1", "z1", "b1", "z2"], TakeAll(line));
        Assert.Equal((0, true), (line.Count, line.IsEmpty));
    }

    [Fact]
    public void Who_leaves_is_not_served_and_leaving_twice_is_once()
    {
        FairLine<string> line = new(3);
        FairLine<string>.Place first = line.Add("a", "a1", out _)!;
        line.Add("b", "b1", out _);

        line.Remove(first);
        line.Remove(first);

        Assert.Equal(1, line.Count);
        Assert.Equal(["b1"], TakeAll(line));
    }

    [Fact]
    public void No_caller_is_served_twice_while_another_waits_and_the_count_is_exact()
    {
        var scripts = Gen.Choose(0, 5).Zip(Gen.Choose(0, 2)).ListOf().ToArbitrary();
        Prop.ForAll(scripts, script =>
        {
            FairLine<int> line = new(20);
            Dictionary<int, int> waiting = [];
            Queue<int> served = new();
            foreach ((int caller, int what) in script)
            {
                if (what > 0)
                {
                    if (line.Add($"{caller}", caller, out int gone) is not null)
                    {
                        waiting[caller] = waiting.GetValueOrDefault(caller) + 1;
                        waiting[gone] = waiting.GetValueOrDefault(gone) - (waiting.Values.Sum() > 20 ? 1 : 0);
                    }
                }
                else if (line.TryTake(out int taken))
                {
                    waiting[taken]--;
                    served.Enqueue(taken);
                }

                if (line.Count != waiting.Values.Sum() || waiting.Values.Any(n => n < 0) || line.Count > 20)
                {
                    return false;
                }
            }

            int callers = waiting.Count(w => w.Value > 0);
            return Enumerable.Range(0, callers).Select(_ => line.TryTake(out int next) ? next : -1).Distinct().Count()
                == callers;
        }).QuickCheckThrowOnFailure();
    }

    private static List<string> TakeAll(FairLine<string> line)
    {
        List<string> all = [];
        while (line.TryTake(out string? item))
        {
            all.Add(item!);
        }

        return all;
    }
}
