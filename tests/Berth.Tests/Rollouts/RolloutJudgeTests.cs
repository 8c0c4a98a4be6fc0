using Berth.Core.Errors;
using Berth.Core.Rollouts;
using Xunit;

namespace Berth.Tests.Rollouts;

public sealed class RolloutJudgeTests
{
    [Theory]
    [InlineData(30, 10, 0, RolloutDecision.Wait, "Revision 2 was called 10 of 100 times.")]
    [InlineData(30, 9, 1, RolloutDecision.Wait, "Revision 2 was called 10 of 100 times and failed 1.")]
    [InlineData(
        30, 200, 1, RolloutDecision.Wait, "Revision 2 answered 200 of 201 calls well; 30s of 1m are left.")]
    [InlineData(60, 99, 1, RolloutDecision.Advance, "Revision 2 answered 99 of 100 calls well.")]
    [InlineData(600, 99, 0, RolloutDecision.Wait, "Revision 2 was called 99 of 100 times.")]
    [InlineData(
        1, 0, 2, RolloutDecision.RollBack,
        "Revision 2 failed 2 of 2 calls (0 % succeeded); a success rate of 99 % allows 1.")]
    [InlineData(
        60, 1229, 13, RolloutDecision.RollBack,
        "Revision 2 failed 13 of 1,242 calls (98.9 % succeeded); a success rate of 99 % allows 12.")]
    public void Failures_count_at_once_and_success_only_with_calls_and_time_enough(
        int seconds, int succeeded, int failed, RolloutDecision decision, string sentence)
    {
        RolloutVerdict verdict = RolloutJudge.Judge(
            Tallies.Plan(), 2, Window(seconds, Tallies.Of(succeeded, failed)));

        Assert.Equal(new RolloutVerdict(decision, sentence), verdict);
    }

    [Fact]
    public void Who_is_not_called_waits_for_as_long_as_the_plan_says_and_a_paused_one_longer()
    {
        RolloutPlan plan = Tallies.Plan() with { MaxWait = TimeSpan.FromMinutes(10) };
        RolloutWindow window = Window(600, Tallies.Of(3));

        RolloutVerdict running = RolloutJudge.Judge(plan, 2, window);
        RolloutVerdict paused = RolloutJudge.Judge(plan, 2, window, mayExpire: false);

        Assert.Equal(
            new RolloutVerdict(
                RolloutDecision.RollBack,
                "Revision 2 was called 3 of 100 times in 10m: too few to judge it by, and the plan waits no longer."),
            running);
        Assert.Equal(RolloutDecision.Wait, paused.Decision);
    }

    [Theory]
    [InlineData("200ms", 150, RolloutDecision.Advance, "95 of 100 calls took at most 151 ms, within 200 ms.")]
    [InlineData(
        "200ms", 250, RolloutDecision.RollBack,
        "Revision 2 is too slow: 95 of 100 calls took at most 254 ms; the budget is 200 ms.")]
    [InlineData(
        "1.5x", 100, RolloutDecision.RollBack,
        "95 of 100 calls took at most 98 ms; the budget is 74 ms (1.5 times the 49 ms before).")]
    [InlineData("2x", 100, RolloutDecision.Advance, "within 98 ms (2 times the 49 ms before).")]
    public void Times_are_judged_at_the_end_by_a_time_or_by_those_before(
        string budget, double ms, RolloutDecision decision, string sentence)
    {
        RolloutPlan plan = Tallies.Plan() with { Latency = LatencyBudget.Parse(budget) };
        CallTally old = Tallies.Of(300, ms: 50);

        RolloutVerdict early = RolloutJudge.Judge(plan, 2, Window(59, Tallies.Of(200, ms: ms), old));
        RolloutVerdict verdict = RolloutJudge.Judge(plan, 2, Window(60, Tallies.Of(200, ms: ms), old));

        Assert.Equal((RolloutDecision.Wait, decision), (early.Decision, verdict.Decision));
        Assert.EndsWith(sentence, verdict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_calls_of_the_old_its_time_from_earlier_is_compared_with_or_none_and_that_is_said()
    {
        RolloutPlan plan = Tallies.Plan(100) with { Latency = LatencyBudget.Parse("1.2x") };
        RolloutWindow unknown = Window(60, Tallies.Of(200, ms: 100));

        RolloutVerdict compared = RolloutJudge.Judge(
            plan, 2, unknown with { Baseline = TimeSpan.FromMilliseconds(50) });
        RolloutVerdict alone = RolloutJudge.Judge(plan, 2, unknown);

        Assert.Equal(RolloutDecision.RollBack, compared.Decision);
        Assert.Equal(
            new RolloutVerdict(
                RolloutDecision.Advance,
                "Revision 2 answered 200 of 200 calls well; its times are not judged, as the revisions before had too "
                + "few calls to compare with."),
            alone);
    }

    [Theory]
    [InlineData(99, 100)]
    [InlineData(95, 20)]
    [InlineData(99.9, 1000)]
    [InlineData(99.99, 1000)]
    [InlineData(50, 20)]
    [InlineData(100, 20)]
    public void By_default_one_failure_alone_is_within_the_budget(double rate, int calls) =>
        Assert.Equal(calls, RolloutPlan.DefaultMinCalls((decimal)rate));

    [Theory]
    [InlineData("200ms", "200ms")]
    [InlineData("1.5s", "1500ms")]
    [InlineData("1.20x", "1.2x")]
    [InlineData("1x", "1x")]
    public void A_budget_is_a_time_or_a_multiple(string text, string exact) =>
        Assert.Equal(exact, LatencyBudget.Parse(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("200")]
    [InlineData("0.5x")]
    [InlineData("101x")]
    [InlineData("x")]
    [InlineData("2h")]
    [InlineData("0.5ms")]
    public void Anything_else_is_none(string text)
    {
        BerthException refused = Assert.Throws<BerthException>(() => LatencyBudget.Parse(text));

        Assert.StartsWith($"'{text}' is no latency budget: write a time", refused.Message, StringComparison.Ordinal);
    }

    private static RolloutWindow Window(int seconds, CallTally fresh, CallTally? old = null) =>
        new(TimeSpan.FromSeconds(seconds), fresh, old ?? CallTally.None, null);
}
