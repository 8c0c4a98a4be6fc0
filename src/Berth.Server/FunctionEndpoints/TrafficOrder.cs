using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Core.Functions;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The part of a request that is about who gets a function's calls and whose are let in, there and back.
/// </summary>
internal static class TrafficOrder
{
    /// <summary>What a deployment asks beside the new revision's share: rules for it, and how the function is reached.
    /// </summary>
    /// <param name="mayOpen">As in <see cref="FunctionSteps.Expose"/>.</param>
    public static Function Apply(Function function, FunctionRequest request, bool mayOpen)
    {
        TrafficSplit traffic = function.Traffic;
        if (request.Matches is { Count: > 0 } rules)
        {
            traffic = traffic.Matched([.. rules.Select(r => Match(r, function.Newest.Number))]);
        }

        return Apply(function, traffic, request, mayOpen);
    }

    /// <summary>The same of a file, whose rules are all that there are to be where it has some.</summary>
    /// <param name="mayOpen">As in <see cref="FunctionSteps.Expose"/>.</param>
    public static Function Declare(Function function, FunctionRequest request, bool mayOpen)
    {
        TrafficSplit traffic = function.Traffic;
        if (request.Matches is { } rules)
        {
            traffic = TrafficSplit.Of(
                traffic.Shares, traffic.Tags, [.. rules.Select(r => Match(r, function.Newest.Number))],
                traffic.IsSticky);
        }

        return Apply(function, traffic, request, mayOpen);
    }

    /// <summary>Another split; what the request leaves away stays.</summary>
    /// <param name="request">Has shares, and none is null.</param>
    /// <param name="mayOpen">As in <see cref="FunctionSteps.Expose"/>.</param>
    public static Function Apply(Function function, TrafficView request, bool mayOpen)
    {
        if (request.Matches?.Contains(null!) == true)
        {
            throw new BerthException(ErrorCode.InvalidRequest, "matches holds a null: each is a rule and a revision.");
        }

        TrafficSplit traffic = TrafficSplit.Of(
            request.Shares.Select(s => new TrafficShare(s.Revision, s.Percent)),
            request.Tags ?? function.Traffic.Tags,
            request.Matches is null
                ? function.Traffic.Matches
                : [.. request.Matches.Select(m => Match(m.Rule, m.Revision))],
            request.Sticky ?? function.Traffic.IsSticky);
        return Reach(FunctionSteps.Route(function, traffic), request.Hosts, request.Public, mayOpen);
    }

    public static TrafficView View(Function function)
    {
        TrafficSplit traffic = function.Traffic;
        FunctionEdge edge = function.Edge;
        return new TrafficView(
            [.. traffic.Shares.Select(s => new ShareView(s.Revision, s.Percent))],
            traffic.Tags.Count == 0 ? null : traffic.Tags,
            traffic.Matches.Count == 0
                ? null
                : [.. traffic.Matches.Select(m => new MatchView(m.Text, m.Revision))],
            traffic.IsSticky ? true : null, edge.Hosts.Count == 0 ? null : edge.Hosts,
            edge.IsPublic ? true : null);
    }

    private static Function Apply(Function function, TrafficSplit traffic, FunctionRequest request, bool mayOpen) =>
        Reach(
            FunctionSteps.Route(
                function, traffic.Keeping(request.Sticky ?? request.Rollout?.Sticky ?? traffic.IsSticky)),
            request.Hosts, request.Public, mayOpen);

    private static TrafficMatch Match(string? rule, int revision) => TrafficMatch.Parse(rule ?? "", revision);

    private static Function Reach(Function function, IReadOnlyList<string>? hosts, bool? isPublic, bool mayOpen)
    {
        FunctionEdge edge = function.Edge;
        return hosts is null && isPublic is null
            ? function
            : FunctionSteps.Expose(
                function,
                FunctionEdge.Of(hosts?.Select(h => h ?? "") ?? edge.Hosts, isPublic ?? edge.IsPublic),
                mayOpen);
    }
}
