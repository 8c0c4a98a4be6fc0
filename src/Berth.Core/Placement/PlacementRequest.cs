using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Core.Placement;

public enum PlacementStrategy
{
    /// <summary>The fullest node that has room, so that large work finds whole nodes and idle ones can be let go.
    /// </summary>
    Pack = 0,

    /// <summary>The emptiest.</summary>
    Spread = 1,
}

/// <param name="Count">1 or more.</param>
/// <param name="Memory">Of each device, at least.</param>
public sealed record GpuDemand(int Count, ByteSize Memory);

/// <summary>Near to runs of a group, or away from them.</summary>
/// <param name="Topology">Label whose value tells what is near: the same zone, for instance; null for the same node.
/// </param>
/// <param name="IsAnti">Away.</param>
/// <param name="Weight">Points for a node that keeps the rule, 1 to <see cref="MaxWeight"/>; null where a node that
/// does not is refused.</param>
public sealed record AffinityRule(string Group, string? Topology, bool IsAnti, int? Weight)
{
    public const int MaxWeight = 100;

    internal string Text =>
        (IsAnti ? "away from " : "near ") + Group + (Topology is null ? "" : " by " + Topology);
}

/// <summary>Even numbers of the request's own group.</summary>
/// <param name="Topology">Label whose values are to have even numbers; null for nodes.</param>
/// <param name="MaxSkew">By how many one may have more than the least that could take it; null where unevenness only
/// costs points.</param>
public sealed record SpreadRule(string? Topology, int? MaxSkew)
{
    internal string Text => "spread over " + (Topology ?? "nodes");
}

/// <summary>What is to be placed. Lists are short: longer ones are refused.</summary>
/// <param name="Id">Of the attempt.</param>
public sealed record PlacementRequest(string Id, string Tenant, NodeResources Resources)
{
    private const int MostRules = 16;

    /// <summary>Null for any.</summary>
    public string? Architecture { get; init; }

    public IReadOnlyList<string> Features { get; init; } = [];

    public IReadOnlyList<NodeConstraint> Constraints { get; init; } = [];

    public IReadOnlyList<Toleration> Tolerations { get; init; } = [];

    public GpuDemand? Gpus { get; init; }

    public IReadOnlyList<string> Volumes { get; init; } = [];

    public string? Network { get; init; }

    public string? Group { get; init; }

    public IReadOnlyList<AffinityRule> Affinities { get; init; } = [];

    /// <summary>Of its <see cref="Group"/>.</summary>
    public SpreadRule? Spread { get; init; }

    /// <summary>Manifest digest: nodes that hold it are preferred.</summary>
    public string? Image { get; init; }

    /// <summary>Nodes with a sandbox that stands ready for it are preferred.</summary>
    public string? Revision { get; init; }

    /// <summary>Names of nodes that refused it a moment ago: they know their room better than whoever plans.</summary>
    public IReadOnlyList<string> RefusedBy { get; init; } = [];

    /// <summary>Higher goes first.</summary>
    public int Priority { get; init; }

    /// <summary>Whether it may be ended for work of higher priority.</summary>
    public bool IsBatch { get; init; }

    /// <summary>Whether batch work of lower priority is ended for it where nothing has room.</summary>
    public bool Evicts { get; init; } = true;

    public PlacementStrategy Strategy { get; init; }

    /// <summary>Whether it takes one of the node's places. What waits more than it works takes none.</summary>
    public bool TakesPlace { get; init; } = true;

    /// <summary>Refuses what would make one placement cost more than others, or can't be judged.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    internal void Check()
    {
        CheckCount("constraints", Constraints.Count, NodeConstraint.Most);
        CheckCount("features", Features.Count, MostRules);
        CheckCount("tolerations", Tolerations.Count, MostRules);
        CheckCount("nodes that refused it", RefusedBy.Count, MostRules);
        CheckCount("volumes", Volumes.Count, MostRules);
        CheckCount("rules of affinity", Affinities.Count, MostRules / 2);
        CheckTopology(Spread?.Topology);
        foreach (AffinityRule rule in Affinities)
        {
            CheckTopology(rule.Topology);
            if (rule.Weight is < 1 or > AffinityRule.MaxWeight)
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"The rule '{rule.Text}' weighs {rule.Weight}: a weight is 1 to {AffinityRule.MaxWeight}.");
            }
        }

        if (Spread is { MaxSkew: < 1 })
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "A spread's largest skew is 1 or more: below that nothing could be placed.");
        }
    }

    private static void CheckCount(string what, int count, int most)
    {
        if (count > most)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"There are {count} {what}; at most {most} are taken.");
        }
    }

    private static void CheckTopology(string? topology)
    {
        if (topology is not null && (NodeAttributes.Contains(topology) || !ConstraintReader.IsWord(topology)))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(topology)}' is no label of nodes: name one that their owner gives, such as zone.");
        }
    }
}
