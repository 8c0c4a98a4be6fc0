using System.Globalization;
using System.Text;

namespace Berth.Core.Placement;

/// <summary>Why a node may not have a request; in the order in which they are asked. A node is counted for the first
/// that refuses it.</summary>
public enum PlacementFilter
{
    Lost = 0,
    Suspect = 1,
    Cordoned = 2,
    Draining = 3,
    Taint = 4,
    Architecture = 5,
    Feature = 6,
    Constraint = 7,
    Volume = 8,
    Network = 9,
    Affinity = 10,
    Spread = 11,
    Places = 12,
    Cpu = 13,
    Memory = 14,
    Disk = 15,
    Gpu = 16,

    /// <summary>It said itself, a moment ago, that it has no room. Asked before <see cref="Affinity"/>.</summary>
    Refused = 17,
}

/// <param name="Subject">Which constraint, feature, taint, volume; null where the filter says it all.</param>
/// <param name="Nodes">How many it refused that nothing before had refused.</param>
/// <param name="Names">Of those that lack a feature, where they are few, the first of them; null otherwise.</param>
public sealed record Refusal(
    PlacementFilter Filter, string? Subject, int Nodes, IReadOnlyList<string>? Names = null)
{
    /// <summary>That are named.</summary>
    public const int MostNames = 8;

    /// <summary>Of more nodes none is named: a decision among thousands must not wait for their names.</summary>
    public const int MostCollected = 64;
}

/// <summary>
/// A decision that is not yet true: where a request goes, or that nothing will take it, and why. The refusals' counts
/// and <see cref="Fitting"/> add up to <see cref="Nodes"/>.
/// </summary>
/// <param name="Node">Null for none.</param>
/// <param name="Gpus">Ids of the devices it gets there.</param>
/// <param name="Evicted">What is to be ended there first; empty but where nothing had room.</param>
/// <param name="Nodes">How many were looked at.</param>
/// <param name="Fitting">How many of them could take it as they are.</param>
/// <param name="Winner">Null where something is evicted for it, or nothing takes it.</param>
public sealed record PlacementPlan(
    PlacementRequest Request, string? Node, IReadOnlyList<string> Gpus, IReadOnlyList<PlacedRun> Evicted,
    int Nodes, int Fitting, IReadOnlyList<Refusal> Refusals, NodeScore? Winner, NodeScore? RunnerUp)
{
    /// <summary>The decision in sentences, for people.</summary>
    public string Explain()
    {
        StringBuilder text = new();
        text.Append(Node is null ? "No node takes it" : $"Goes to node {Node}");
        text.Append(CultureInfo.InvariantCulture, $": {Fitting} of {Of(Nodes)} could take it");
        if (Refusals.Count > 0)
        {
            text.Append("; refused by ").AppendJoin(
                ", ", Refusals.Select(r => Words(r) + " " + r.Nodes + NamesOf(r)));
        }

        text.Append('.');
        if (Winner is not null)
        {
            text.Append(" Points: ").Append(Winner.Node).Append(' ').Append(Winner.Text);
            text.Append(RunnerUp is null ? "." : $"; next {RunnerUp.Node} {RunnerUp.Text}.");
        }

        if (Evicted.Count > 0)
        {
            text.Append(" Ended there for its priority: ").AppendJoin(", ", Evicted.Select(run => run.Id)).Append('.');
        }

        return text.ToString();
    }

    private static string NamesOf(Refusal refusal) => refusal.Names is { } names
        ? $" ({string.Join(", ", names)}{(refusal.Nodes > names.Count ? ", …" : "")})"
        : "";

    private static string Of(int nodes) => nodes == 1 ? "1 node" : $"{nodes} nodes";

    private string Words(Refusal refusal) => refusal.Filter switch
    {
        PlacementFilter.Lost => "node lost",
        PlacementFilter.Suspect => "node silent",
        PlacementFilter.Cordoned => "node cordoned",
        PlacementFilter.Draining => "node draining",
        PlacementFilter.Taint => $"taint {refusal.Subject}",
        PlacementFilter.Architecture => $"architecture {refusal.Subject}",
        PlacementFilter.Feature => $"missing {refusal.Subject}",
        PlacementFilter.Constraint => $"constraint {refusal.Subject}",
        PlacementFilter.Volume => $"volume {refusal.Subject} elsewhere",
        PlacementFilter.Network => $"network {refusal.Subject} elsewhere",
        PlacementFilter.Affinity or PlacementFilter.Spread => refusal.Subject!,
        PlacementFilter.Places => "places",
        PlacementFilter.Cpu => $"CPU ({Request.Resources.Millicores / 1000m:0.###} asked)",
        PlacementFilter.Memory => $"memory ({Request.Resources.Memory} asked)",
        PlacementFilter.Refused => "their own word",
        PlacementFilter.Disk => $"disk ({Request.Resources.Disk} asked)",
        _ => $"GPUs ({Request.Gpus?.Count} asked)",
    };
}
