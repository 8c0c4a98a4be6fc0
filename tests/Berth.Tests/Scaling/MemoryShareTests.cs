using Berth.Core.Scaling;
using Xunit;

namespace Berth.Tests.Scaling;

/// <summary>Who of the revisions gets memory for one more instance, and who gives some.</summary>
public sealed class MemoryShareTests
{
    private const long Budget = 800;

    [Fact]
    public void The_last_eighth_is_for_first_instances_that_are_waited_for()
    {
        MemoryHolder[] others = [new(700, 7, 0)];

        Assert.Equal(MemoryStep.Start, Decide(new(100, 0, 0, true), others, 700).Step);
        Assert.Equal(MemoryStep.Wait, Decide(new(100, 0, 0, false), others, 700).Step);
        Assert.Equal(MemoryStep.Wait, Decide(new(100, 700, 7, true), [], 700).Step);
        Assert.Equal(MemoryStep.Start, Decide(new(100, 600, 6, true), [], 600).Step);
    }

    [Fact]
    public void An_idle_instance_of_the_richest_goes_first_and_for_a_first_one_also_one_with_calls()
    {
        MemoryHolder[] idle = [new(300, 3, 0), new(200, 2, 1), new(300, 3, 2)];
        MemoryHolder[] busy = [new(100, 1, 0), new(700, 7, 0)];

        Assert.Equal(new MemoryVerdict(MemoryStep.GiveUp, 2), Decide(new(100, 0, 0, true), idle, 800));
        Assert.Equal(new MemoryVerdict(MemoryStep.GiveUp, 1), Decide(new(100, 0, 0, true), busy, 800));
        Assert.Equal(new MemoryVerdict(MemoryStep.GiveUp, 2), Decide(new(50, 100, 1, true), idle, 800));
        // Who has as much already gets nothing from who has no more, nor from who is at work.
        Assert.Equal(MemoryStep.Wait, Decide(new(100, 200, 2, true), idle, 800).Step);
        Assert.Equal(MemoryStep.Wait, Decide(new(100, 0, 0, true), [new(400, 1, 0), new(400, 1, 0)], 800).Step);
        Assert.Equal(MemoryStep.Wait, Decide(new(50, 50, 1, true), busy, 800).Step);
    }

    [Fact]
    public void What_ends_already_is_waited_for_and_one_that_is_larger_than_all_may_be_runs_alone()
    {
        Assert.Equal(MemoryStep.Wait, Decide(new(100, 0, 0, true), [new(600, 6, 3)], 800, leaving: 200).Step);
        Assert.Equal(MemoryStep.Start, Decide(new(5000, 0, 0, true), [], 0).Step);
        Assert.Equal(MemoryStep.Start, Decide(new(5000, 0, 0, false), [], 0).Step);
    }

    [Fact]
    public void One_that_ends_with_its_call_is_waited_for_only_until_another_is_idle()
    {
        MemoryClaim first = new(100, 0, 0, true);

        Assert.Equal(
            MemoryStep.Wait, Decide(first, [new(600, 6, 0), new(100, 1, 0)], 800, leaving: 100, busy: 100).Step);
        Assert.Equal(
            new MemoryVerdict(MemoryStep.GiveUp, 1),
            Decide(first, [new(600, 6, 0), new(100, 1, 1)], 800, leaving: 100, busy: 100));
        // Which is on its way then.
        Assert.Equal(MemoryStep.Wait, Decide(first, [new(600, 6, 1)], 800, leaving: 200, busy: 100).Step);
    }

    [Fact]
    public void Whatever_there_is_the_budget_is_kept_and_a_first_one_is_never_forgotten()
    {
        Random random = new(5);
        for (int i = 0; i < 20_000; i++)
        {
            MemoryHolder[] others = [.. Enumerable.Range(0, random.Next(5)).Select(_ => Made(random))];
            int count = random.Next(4);
            MemoryClaim claim = new(1 + random.Next(200), count * 50L, count, random.Next(2) == 0);
            long leaving = random.Next(3) * 40L;
            long used = others.Sum(o => o.Bytes) + claim.Own + leaving;

            long busy = random.Next(2) * leaving;
            MemoryVerdict verdict = MemoryShare.Decide(claim, others, used, leaving, busy, Budget);

            bool isFirst = claim is { Count: 0, IsWaitedFor: true };
            string what = $"{claim}, {string.Join(", ", others)}, {used} used, {leaving} leaving: {verdict}";
            bool comesAtOnce = used - (leaving - busy) + claim.Each <= Budget;
            switch (verdict.Step)
            {
                case MemoryStep.Start:
                    Assert.True(used == 0 || used + claim.Each <= Budget, what);
                    Assert.True(used == 0 || isFirst || used + claim.Each <= MemoryShare.Shared(Budget), what);
                    break;
                case MemoryStep.GiveUp:
                    MemoryHolder giver = others[verdict.Holder];
                    Assert.True(claim.IsWaitedFor && giver.Count > 0, what);
                    Assert.True(giver.Idle > 0 || (isFirst && giver.Count > 1), what);
                    Assert.True(isFirst || giver.Bytes > claim.Own + claim.Each, what);
                    break;
                default:
                    Assert.True(
                        !isFirst || comesAtOnce
                            || (others.All(o => o.Idle == 0)
                                && (used - leaving + claim.Each <= Budget || others.All(o => o.Count <= 1))),
                        what);
                    break;
            }
        }
    }

    private static MemoryHolder Made(Random random)
    {
        int count = random.Next(5);
        return new MemoryHolder(count * random.Next(1, 100), count, random.Next(count + 1));
    }

    private static MemoryVerdict Decide(
        MemoryClaim claim, MemoryHolder[] others, long used, long leaving = 0, long busy = 0) =>
        MemoryShare.Decide(claim, others, used, leaving, busy, Budget);
}
