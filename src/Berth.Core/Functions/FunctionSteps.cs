using Berth.Core.Errors;
using Berth.Core.Rollouts;
using Berth.Core.Scaling;

namespace Berth.Core.Functions;

/// <summary>Every change that a function can go through. Pure.</summary>
public static class FunctionSteps
{
    /// <summary>Revisions that are kept beside those that calls can still reach.</summary>
    public const int KeptRevisions = 10;

    public static Function Create(string name, FunctionSpec spec, string caller, DateTimeOffset now) => new(
        FunctionName.Check(name, "function"), now, [new Revision(1, spec, now, caller)], TrafficSplit.All(1),
        Before: null);

    /// <summary>A new revision; the oldest that nobody can reach are let go.</summary>
    /// <param name="percent">Its share of the calls.</param>
    /// <param name="tag">A name that reaches it alone; null for none.</param>
    public static Function Deploy(
        Function function, FunctionSpec spec, int percent, string? tag, string caller, DateTimeOffset now)
    {
        int number = function.Newest.Number + 1;
        Function next = Share(
            function with { Revisions = [.. function.Revisions, new Revision(number, spec, now, caller)] },
            number, percent, tag);
        int excess = next.Revisions.Count - KeptRevisions;
        return next with
        {
            Revisions = [.. next.Revisions.Where((r, i) => i >= excess || IsReachable(next, r.Number))],
        };
    }

    /// <summary>Changes how many instances revisions have, in place: what their programs are stays, and those that run
    /// go on.</summary>
    /// <param name="numbers">Of the revisions; null for those that calls are routed to.</param>
    /// <exception cref="BerthException">NotFound; Conflict, where none of them has instances; InvalidRequest, where the
    /// limits contradict each other.</exception>
    public static Function Rescale(Function function, IReadOnlyList<int>? numbers, Func<ScaleSpec, ScaleSpec> change)
    {
        int[] wanted = [.. numbers ?? [.. function.Traffic.Shares.Select(s => s.Revision)]];
        foreach (int number in wanted)
        {
            _ = function.Find(number) ?? throw NoRevision(function, number);
        }

        Revision[] revisions = [.. function.Revisions];
        bool hasInstances = false;
        bool changed = false;
        for (int i = 0; i < revisions.Length; i++)
        {
            if (wanted.Contains(revisions[i].Number) && revisions[i].Spec.Service is { } service)
            {
                ScaleSpec scale = ScaleSpec.Checked(change(service.Scale));
                hasInstances = true;
                changed |= scale != service.Scale;
                revisions[i] = revisions[i] with
                {
                    Spec = revisions[i].Spec with { Service = service with { Scale = scale } },
                };
            }
        }

        return !hasInstances
            ? throw new BerthException(
                ErrorCode.Conflict,
                $"Each call of function '{function.Name}' is a program of its own: it has no instances to scale. Its "
                + "calls at once are limited by maxRunning of a revision.")
            : changed ? function with { Revisions = revisions } : function;
    }

    /// <summary>Gives a revision <paramref name="percent"/> of the calls, and a tag.</summary>
    /// <exception cref="BerthException">InvalidRequest, NotFound.</exception>
    public static Function Share(Function function, int number, int percent, string? tag)
    {
        TrafficSplit traffic = function.Traffic.With(number, percent);
        return Route(function, tag is null ? traffic : traffic.Tagged(tag, number));
    }

    /// <summary>Splits the calls another way.</summary>
    /// <exception cref="BerthException">NotFound, for a revision that is not kept; Conflict, where a rollout decides
    /// it.</exception>
    public static Function Route(Function function, TrafficSplit traffic)
    {
        foreach (int number in traffic.Shares.Select(s => s.Revision).Concat(traffic.Tags.Values)
            .Concat(traffic.Matches.Select(m => m.Revision)))
        {
            if (function.Find(number) is null)
            {
                throw NoRevision(function, number);
            }
        }

        if (traffic.Equals(function.Traffic))
        {
            return function;
        }

        // A tag that changes is nothing to go back from: the calls go where they went.
        if (traffic.Shares.SequenceEqual(function.Traffic.Shares))
        {
            return function with { Traffic = traffic };
        }

        return function.Rollout is { IsUnderWay: true }
            ? throw RolloutSteps.Busy(function)
            : function with { Traffic = traffic, Before = function.Traffic };
    }

    /// <summary>Calls go where they went before the last change; done again, it takes itself back. Tags stay.</summary>
    /// <exception cref="BerthException">Conflict, where nothing was changed yet.</exception>
    public static Function RollBack(Function function) => function.Before is { } before
        ? Route(function, function.Traffic.Shared(before.Shares))
        : throw new BerthException(
            ErrorCode.Conflict,
            $"The calls of function '{function.Name}' always went where they go: there is nothing to go back to.");

    /// <summary>All calls go to one revision.</summary>
    /// <exception cref="BerthException">NotFound.</exception>
    public static Function RollBack(Function function, int number) => Route(
        function, function.Traffic.Shared([new TrafficShare(number, 100)]));

    /// <summary>Lets it be reached another way.</summary>
    /// <exception cref="BerthException">Forbidden, where more is let in by who may not.</exception>
    /// <param name="mayOpen">Whether the caller may let in more than there was.</param>
    public static Function Expose(Function function, FunctionEdge edge, bool mayOpen)
    {
        if (edge.Equals(function.Edge))
        {
            return function;
        }

        return mayOpen || !edge.OpensMoreThan(function.Edge)
            ? function with { Reach = edge.Equals(FunctionEdge.None) ? null : edge }
            : throw new BerthException(
                ErrorCode.Forbidden,
                $"To let function '{function.Name}' be called without a token, or by a host name of its own, is for "
                + "administrators: ask one to do it.");
    }

    public static BerthException NoRevision(Function function, int number) => new(
        ErrorCode.NotFound,
        $"Function '{function.Name}' has no revision {number}: "
        + $"it has {string.Join(", ", function.Revisions.Select(r => r.Number))}.");

    private static bool IsReachable(Function function, int number) =>
        function.Traffic.Holds(number) || function.Before?.Holds(number) == true
        || function.Rollout?.Holds(number) == true;
}
