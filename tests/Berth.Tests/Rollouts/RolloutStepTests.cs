using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Rollouts;

public sealed class RolloutStepTests
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    private static readonly FunctionSpec Spec = new(
        RunSpec.For("demo/echo:1", Digest.Sha256("x"u8), RunKind.Call), PassArguments: false, 0,
        FunctionSpec.DefaultMaxWaiting);

    [Fact]
    public void A_good_revision_goes_from_step_to_step_to_all_calls_and_back_leads_to_those_before()
    {
        Function function = Start(Two(), Tallies.Plan(5, 25));
        string first = function.Traffic.ToString();

        function = RolloutSteps.Advance(function, "Good.", Noon.AddMinutes(1), null);
        string second = function.Traffic.ToString();
        function = RolloutSteps.Advance(function, "Good.", Noon.AddMinutes(2), null);

        Assert.Equal("95 % to revision 1, 5 % to revision 2", first);
        Assert.Equal("75 % to revision 1, 25 % to revision 2", second);
        Assert.Equal("100 % to revision 2", function.Traffic.ToString());
        Assert.Equal(RolloutState.Promoted, function.Rollout!.State);
        Assert.Equal("100 % to revision 1", FunctionSteps.RollBack(function).Traffic.ToString());
        Assert.Equal(
            [
                (RolloutEventTypes.Started,
                    "Revision 2 gets 5 % of the calls, which went to others before: 100 % to revision 1."),
                (RolloutEventTypes.Advanced, "Good. It gets 25 %."),
                (RolloutEventTypes.Promoted, "Good. It gets all calls."),
            ],
            function.Rollout.Events.Select(e => (e.Type, e.Detail)));
    }

    [Fact]
    public void A_rollback_restores_exactly_the_shares_before_and_what_they_could_be_taken_back_to()
    {
        Function before = FunctionSteps.Route(
            Deploy(Two()), TrafficSplit.Of([new(1, 33), new(2, 67)], new Dictionary<string, int> { ["old"] = 1 }));

        Function back = RolloutSteps.RollBack(
            RolloutSteps.Advance(Start(before, Tallies.Plan(7, 51), 3), "Good.", Noon, null), "Bad.", Noon);

        Assert.Equal(before.Traffic, back.Traffic);
        Assert.Equal(before.Before, back.Before);
        Assert.Equal(
            (RolloutState.RolledBack, "Bad. Calls go where they went before: 33 % to revision 1, 67 % to revision 2."),
            (back.Rollout!.State, back.Rollout.Events[^1].Detail));
    }

    [Fact]
    public void While_a_plan_decides_nobody_else_does_but_tags_and_deployments_without_calls()
    {
        Function function = Start(Two(), Tallies.Plan());

        BerthException routed = Assert.Throws<BerthException>(
            () => FunctionSteps.Route(function, TrafficSplit.All(1)));
        BerthException deployed = Assert.Throws<BerthException>(() => Deploy(function, percent: 100));
        Function tagged = FunctionSteps.Route(function, function.Traffic.Tagged("next", 2));
        Function third = Deploy(function);

        Assert.Equal((ErrorCode.Conflict, ErrorCode.Conflict), (routed.Code, deployed.Code));
        Assert.StartsWith(
            "Revision 2 of function 'echo' is being rolled out, and its plan decides who gets the calls: "
            + "'berth rollout promote echo'", routed.Message, StringComparison.Ordinal);
        Assert.Equal(2, tagged.Traffic.Tags["next"]);
        Assert.Equal(function.Traffic, third.Traffic);
        Assert.True(third.Rollout!.IsUnderWay);
    }

    [Fact]
    public void Another_revision_takes_the_place_of_one_under_way_and_the_same_goes_on()
    {
        Function function = RolloutSteps.Advance(
            Deploy(Start(Two(), Tallies.Plan(5, 25))), "Good.", Noon, null);

        Function same = Start(function, Tallies.Plan(5, 25));
        Function other = Start(function, Tallies.Plan(10), 3);

        Assert.Same(function, same);
        Assert.Equal("90 % to revision 1, 10 % to revision 3", other.Traffic.ToString());
        Assert.EndsWith(
            "The rollout of revision 2, at 25 %, is given up for it.", other.Rollout!.Events.Single().Detail,
            StringComparison.Ordinal);
        Assert.Equal("100 % to revision 1", RolloutSteps.Abort(other, "admin", Noon).Traffic.ToString());
    }

    [Fact]
    public void Who_has_all_calls_can_not_get_more_and_where_nothing_is_rolled_out_nothing_ends()
    {
        BerthException all = Assert.Throws<BerthException>(() => Start(Two(), Tallies.Plan(), 1));
        BerthException absent = Assert.Throws<BerthException>(() => Start(Two(), Tallies.Plan(), 7));
        BerthException none = Assert.Throws<BerthException>(() => RolloutSteps.Abort(Two(), "admin", Noon));

        Assert.Equal(
            (ErrorCode.Conflict, ErrorCode.NotFound, ErrorCode.Conflict), (all.Code, absent.Code, none.Code));
    }

    [Fact]
    public void A_pause_holds_the_step_and_resuming_begins_it_anew()
    {
        Function paused = RolloutSteps.Pause(Start(Two(), Tallies.Plan()), "ann", Noon.AddSeconds(5));
        Function resumed = RolloutSteps.Resume(paused, "bob", Noon.AddSeconds(9));

        Assert.Same(paused, RolloutSteps.Pause(paused, "ann", Noon));
        Assert.Equal((RolloutState.Paused, paused.Traffic), (paused.Rollout!.State, resumed.Traffic));
        Assert.Equal(
            (RolloutState.Running, Noon.AddSeconds(9), "Goes on at 5 %, by bob."),
            (resumed.Rollout!.State, resumed.Rollout.Since, resumed.Rollout.Events[^1].Detail));
        Assert.Equal(
            Rollout.MaxEvents,
            Enumerable.Range(0, 99).Aggregate(
                paused, (f, _) => RolloutSteps.Pause(RolloutSteps.Resume(f, "a", Noon), "b", Noon))
                .Rollout!.Events.Count);
    }

    [Fact]
    public void Revisions_that_a_way_back_leads_to_stay()
    {
        Function function = Start(Two(), Tallies.Plan());
        for (int i = 0; i < 20; i++)
        {
            function = Deploy(function);
        }

        Assert.NotNull(function.Find(1));
        Assert.NotNull(function.Find(2));
        Assert.Equal("100 % to revision 1", RolloutSteps.Abort(function, "admin", Noon).Traffic.ToString());
    }

    [Theory]
    [InlineData("", 60, 1, 99)]
    [InlineData("0", 60, 1, 99)]
    [InlineData("5,5", 60, 1, 99)]
    [InlineData("50,25", 60, 1, 99)]
    [InlineData("101", 60, 1, 99)]
    [InlineData("5", 0, 1, 99)]
    [InlineData("5", 60, 0, 99)]
    [InlineData("5", 60, 1_000_001, 99)]
    [InlineData("5", 60, 1, 0)]
    [InlineData("5", 60, 1, 100.1)]
    public void A_plan_that_can_not_be_is_refused(string steps, int seconds, int calls, double rate)
    {
        RolloutPlan plan = new(
            [.. steps.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)],
            TimeSpan.FromSeconds(seconds), calls, (decimal)rate, null, null);

        Assert.Equal(ErrorCode.InvalidRequest, Assert.Throws<BerthException>(plan.Check).Code);
        Assert.Throws<BerthException>(() => (Tallies.Plan() with { MaxWait = TimeSpan.FromSeconds(59) }).Check());
    }

    /// <summary>Any plan against any stream of calls: it ends, what it leaves is a whole, and nobody who broke the
    /// budget in every window is promoted.</summary>
    [Fact]
    public void Once_calls_flow_every_rollout_ends_and_none_ends_well_that_failed_too_much_all_the_time()
    {
        Prop.ForAll(Cases(), c =>
        {
            Function before = FunctionSteps.Route(
                Deploy(Two()), TrafficSplit.Of([new(1, c.Share), new(2, 100 - c.Share)], NoTags));
            Function function = Start(before, c.Plan, 3);
            bool alwaysOver = true;
            int windows = 0;
            Random random = new(c.Seed);
            while (function.Rollout!.IsUnderWay && windows++ <= c.Plan.Steps.Count)
            {
                CallTally calls = CallTally.None;
                RolloutVerdict verdict = new(RolloutDecision.Wait, "");
                for (int second = 0; verdict.Decision == RolloutDecision.Wait && second < 100_000; second++)
                {
                    int failed = Enumerable.Range(0, c.CallsASecond).Count(_ => random.NextDouble() < c.Failures);
                    calls = calls.Plus(Tallies.Of(c.CallsASecond - failed, failed));
                    verdict = RolloutJudge.Judge(
                        c.Plan, 3, new RolloutWindow(TimeSpan.FromSeconds(second), calls, CallTally.None, null));
                }

                alwaysOver &= 100m * calls.Succeeded / calls.Calls < c.Plan.SuccessRate;
                function = verdict.Decision == RolloutDecision.Advance
                    ? RolloutSteps.Advance(function, verdict.Sentence, Noon, null)
                    : RolloutSteps.RollBack(function, verdict.Sentence, Noon);
                if (function.Traffic.Shares.Sum(s => s.Percent) != 100)
                {
                    return false;
                }
            }

            return function.Rollout.State switch
            {
                RolloutState.Promoted => !alwaysOver && function.Traffic.ToString() == "100 % to revision 3",
                RolloutState.RolledBack => function.Traffic.Equals(before.Traffic)
                    && Equals(function.Before, before.Before),
                _ => false,
            };
        }).QuickCheckThrowOnFailure();
    }

    private static IReadOnlyDictionary<string, int> NoTags { get; } = new Dictionary<string, int>();

    private static Arbitrary<Case> Cases() => (
        from steps in Gen.Choose(1, 100).NonEmptyListOf()
        from rate in Gen.Elements(50m, 90m, 95m, 99m, 99.9m, 100m)
        from calls in Gen.Choose(1, 300)
        from seconds in Gen.Choose(1, 90)
        from failures in Gen.Elements(0, 0.001, 0.01, 0.02, 0.1, 0.5, 1)
        from flow in Gen.Choose(1, 20)
        from share in Gen.Choose(1, 99)
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select new Case(
            new RolloutPlan(
                [.. steps.Distinct().Order().Take(RolloutPlan.MaxSteps)], TimeSpan.FromSeconds(seconds), calls, rate,
                null, null),
            failures, flow, share, seed)).ToArbitrary();

    private static Function Two() => Deploy(FunctionSteps.Create("echo", Spec, "admin", Noon));

    private static Function Deploy(Function function, int percent = 0) => FunctionSteps.Deploy(
        function, Spec with { MaxRunning = function.Newest.Number }, percent, null, "admin", Noon);

    private static Function Start(Function function, RolloutPlan plan, int revision = 2) =>
        RolloutSteps.Start(function, revision, plan, "admin", Noon, null);

    private sealed record Case(RolloutPlan Plan, double Failures, int CallsASecond, int Share, int Seed);
}
