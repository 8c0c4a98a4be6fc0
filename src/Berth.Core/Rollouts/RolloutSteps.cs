using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Functions;

namespace Berth.Core.Rollouts;

/// <summary>Every change that a rollout makes to its function. Pure. Shares are always reckoned from those before it,
/// so that however many steps there were, a rollback restores exactly them.</summary>
public static class RolloutSteps
{
    /// <summary>Gives a revision the plan's first share. One that is under way for another revision, or by another
    /// plan, is given up for it; the same one goes on.</summary>
    /// <param name="baseline">As in <see cref="Rollout.Baseline"/>.</param>
    /// <exception cref="BerthException">InvalidRequest; NotFound; Conflict, where the revision has all calls.
    /// </exception>
    public static Function Start(
        Function function, int revision, RolloutPlan plan, string caller, DateTimeOffset now, TimeSpan? baseline)
    {
        plan.Check();
        if (function.Find(revision) is null)
        {
            throw FunctionSteps.NoRevision(function, revision);
        }

        string instead = "";
        if (function.Rollout is { IsUnderWay: true } old)
        {
            if (old.Revision == revision && IsSame(old.Plan, plan))
            {
                return function;
            }

            function = Restore(function, old);
            instead = Text($" The rollout of revision {old.Revision}, at {old.Percent} %, is given up for it.");
        }

        TrafficSplit traffic = function.Traffic;
        if (traffic.Shares is [{ Percent: 100 } only] && only.Revision == revision)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Revision {revision} of function '{function.Name}' gets all calls already: deploy another with "
                + "'berth function deploy --canary', or with '--traffic 0' and start its rollout then.");
        }

        TrafficSplit before = traffic.With(revision, 0);
        Rollout rollout = new(
            revision, plan, caller, RolloutState.Running, 0, now, now, before, function.Before, baseline, []);
        string detail = Text($"Revision {revision} gets {plan.Steps[0]} % of the calls, which went to others before: ")
            + $"{before}.{instead}";
        return Move(function, rollout.Then(RolloutState.Running, RolloutEventTypes.Started, now, detail));
    }

    /// <summary>The next step; after the last one, the end.</summary>
    /// <param name="why">A sentence.</param>
    public static Function Advance(Function function, string why, DateTimeOffset now, TimeSpan? baseline)
    {
        Rollout rollout = UnderWay(function);
        if (rollout.IsLastStep)
        {
            return Promote(function, why, now);
        }

        Rollout next = rollout with { Step = rollout.Step + 1, Baseline = baseline ?? rollout.Baseline };
        return Move(
            function,
            next.Then(
                RolloutState.Running, RolloutEventTypes.Advanced, now, Text($"{why} It gets {next.Percent} %.")));
    }

    /// <summary>The revision gets all calls; the function's rollback leads to the shares before.</summary>
    /// <exception cref="BerthException">Conflict, where none is under way.</exception>
    public static Function Promote(Function function, string why, DateTimeOffset now)
    {
        Rollout rollout = UnderWay(function);
        return function with
        {
            Traffic = Shares(function, rollout.Before.With(rollout.Revision, 100)),
            Before = rollout.Before,
            Rollout = rollout.Then(RolloutState.Promoted, RolloutEventTypes.Promoted, now, why + " It gets all calls."),
        };
    }

    /// <summary>Calls go where they went before: the plan's own decision.</summary>
    /// <exception cref="BerthException">Conflict, where none is under way.</exception>
    public static Function RollBack(Function function, string why, DateTimeOffset now) => End(
        function, RolloutState.RolledBack, RolloutEventTypes.RolledBack, why, now);

    /// <summary>Calls go where they went before: somebody's decision.</summary>
    /// <exception cref="BerthException">Conflict, where none is under way.</exception>
    public static Function Abort(Function function, string caller, DateTimeOffset now) => End(
        function, RolloutState.Aborted, RolloutEventTypes.Aborted, $"Ended by {caller}.", now);

    /// <summary>What is done when things are on fire: what is under way is ended, and calls go where they went before
    /// it, or all to one revision.</summary>
    /// <param name="revision">Null for the shares before.</param>
    /// <exception cref="BerthException">NotFound; Conflict, where nothing was changed yet.</exception>
    public static Function TakeBack(Function function, int? revision, string caller, DateTimeOffset now)
    {
        bool underWay = function.Rollout is { IsUnderWay: true };
        Function still = underWay ? Abort(function, caller, now) : function;
        return revision is { } number ? FunctionSteps.RollBack(still, number)
            : underWay ? still
            : FunctionSteps.RollBack(still);
    }

    /// <summary>It stays at its step. A paused one is left as it is.</summary>
    /// <exception cref="BerthException">Conflict, where none is under way.</exception>
    public static Function Pause(Function function, string caller, DateTimeOffset now)
    {
        Rollout rollout = UnderWay(function);
        return rollout.State == RolloutState.Paused ? function : function with
        {
            Rollout = rollout.Then(
                RolloutState.Paused, RolloutEventTypes.Paused, now, Text($"Held at {rollout.Percent} % by {caller}.")),
        };
    }

    /// <summary>Its step begins anew. A running one is left as it is.</summary>
    /// <exception cref="BerthException">Conflict, where none is under way.</exception>
    public static Function Resume(Function function, string caller, DateTimeOffset now)
    {
        Rollout rollout = UnderWay(function);
        return rollout.State == RolloutState.Running ? function : function with
        {
            Rollout = rollout.Then(
                RolloutState.Running, RolloutEventTypes.Resumed, now,
                Text($"Goes on at {rollout.Percent} %, by {caller}.")),
        };
    }

    /// <summary>What is changed by hand while a plan changes the same.</summary>
    public static BerthException Busy(Function function) => new(
        ErrorCode.Conflict,
        $"Revision {function.Rollout!.Revision} of function '{function.Name}' is being rolled out, and its plan "
        + $"decides who gets the calls: 'berth rollout promote {function.Name}' or "
        + $"'berth rollout abort {function.Name}' ends it; a deployment with a plan of its own takes its place.");

    private static Function End(Function function, RolloutState state, string type, string why, DateTimeOffset now)
    {
        Rollout rollout = UnderWay(function);
        return Restore(function, rollout) with
        {
            Rollout = rollout.Then(state, type, now, $"{why} Calls go where they went before: {rollout.Before}."),
        };
    }

    private static Function Restore(Function function, Rollout rollout) => function with
    {
        Traffic = Shares(function, rollout.Before),
        Before = rollout.Earlier,
        Rollout = null,
    };

    private static Function Move(Function function, Rollout rollout) => function with
    {
        Traffic = Shares(function, rollout.Before.With(rollout.Revision, rollout.Percent)),
        Before = rollout.Before,
        Rollout = rollout,
    };

    private static TrafficSplit Shares(Function function, TrafficSplit traffic) =>
        function.Traffic.Shared(traffic.Shares);

    private static Rollout UnderWay(Function function) => function.Rollout is { IsUnderWay: true } rollout
        ? rollout
        : throw new BerthException(
            ErrorCode.Conflict,
            $"No revision of function '{function.Name}' is being rolled out: 'berth rollout start' begins.");

    private static bool IsSame(RolloutPlan one, RolloutPlan other) =>
        one.Steps.SequenceEqual(other.Steps) && one with { Steps = other.Steps } == other;

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
