using Berth.Core.Placement;
using Berth.Core.Runs;

namespace Berth.Simulation.Worlds;

/// <summary>The decisions of Core that the actors make. A mutant has one of them wrong, and the checks must
/// notice.</summary>
internal sealed record Decisions
{
    public static Decisions Real { get; } = new();

    public Func<PlacementIndex, PlacementRequest, PlacementPlan> Place { get; init; } =
        (index, request) => index.Place(request);

    public Func<Run, RunChange, bool> Admits { get; init; } = RunClaims.Admits;

    public LeaseRules JudgedBy { get; init; } = LeaseRules.Default;

    public LeaseRules HeldBy { get; init; } = LeaseRules.Default;

    /// <summary>What becomes of a run whose claim lapsed; null for nothing.</summary>
    public Func<Run, RunMoment, TimeSpan, RunChange?> Recover { get; init; } = RunSteps.Recover;

    /// <summary>Whether a submission is written before its answer leaves.</summary>
    public bool WritesFirst { get; init; } = true;

    /// <summary>Whether a node looks at its leases before it goes on after a pause.</summary>
    public bool StopsFirst { get; init; } = true;
}
