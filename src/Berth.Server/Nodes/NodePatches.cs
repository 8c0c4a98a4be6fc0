using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>Changes of labels and taints.</summary>
internal static class NodePatches
{
    private const int MostTaints = 32;

    /// <summary>Throws <c>InvalidRequest</c>.</summary>
    public static NodeRecord Apply(NodeRecord record, NodePatch patch)
    {
        Dictionary<string, string> labels = new(record.Labels, StringComparer.Ordinal);
        foreach (string name in patch.RemoveLabels ?? [])
        {
            labels.Remove(name);
        }

        foreach ((string name, string value) in patch.Labels ?? new Dictionary<string, string>())
        {
            labels[name] = value;
        }

        NodeLabels.Check(labels);
        IReadOnlyList<string> taints = patch.Taints is null ? record.Taints : [.. patch.Taints.Distinct()];
        if (taints.Count > MostTaints)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"A node has at most {MostTaints} taints, not {taints.Count}.");
        }

        return record with
        {
            Labels = labels,
            Taints = patch.Taints is null ? taints : [.. taints.Select(t => Taint.Parse(t).Text)],
        };
    }
}
