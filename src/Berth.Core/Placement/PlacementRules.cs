using Berth.Core.Errors;

namespace Berth.Core.Placement;

/// <summary>Where a program may run, as its owner asks; part of what is run.</summary>
/// <param name="Constraints">What its node must be like.</param>
/// <param name="Tolerations">Taints that it bears.</param>
/// <param name="Spread">Label by whose values its runs are spread evenly; null for the nodes themselves.</param>
public sealed record PlacementRules(
    IReadOnlyList<NodeConstraint> Constraints, IReadOnlyList<Toleration> Tolerations, string? Spread)
{
    /// <summary>Of each kind.</summary>
    public const int Most = 16;

    /// <summary>Null where nothing is asked. Texts are those of <see cref="NodeConstraint"/> and
    /// <see cref="Toleration"/>.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static PlacementRules? Parse(
        IReadOnlyList<string>? constraints, IReadOnlyList<string>? tolerations, string? spread)
    {
        if (constraints is null or [] && tolerations is null or [] && spread is null)
        {
            return null;
        }

        Check("constraints", constraints);
        Check("tolerations", tolerations);
        if (spread is not null && !IsSpread(spread))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(spread)}' is no label to spread over: name one that nodes have, such as zone.");
        }

        return new PlacementRules(
            [.. (constraints ?? []).Select(NodeConstraint.Parse).Distinct()],
            [.. (tolerations ?? []).Select(Toleration.Parse).Distinct()], spread);
    }

    /// <summary>Whether it can be the name of a label over which to spread.</summary>
    public static bool IsSpread(string text) => !NodeAttributes.Contains(text) && ConstraintReader.IsWord(text);

    private static void Check(string what, IReadOnlyList<string>? given)
    {
        if (given is { Count: > Most })
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"There are {given.Count} {what}; at most {Most} are taken.");
        }
    }
}
