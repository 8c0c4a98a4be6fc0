using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Nodes;

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

        foreach (string taint in taints)
        {
            string[] parts = taint.Split('=');
            if (parts.Length > 2)
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest, $"'{Quoted.Of(taint)}' is no taint: write NAME or NAME=VALUE.");
            }

            NodeLabels.Check(new Dictionary<string, string> { [parts[0]] = parts.ElementAtOrDefault(1) ?? "" });
        }

        return record with { Labels = labels, Taints = taints };
    }
}
