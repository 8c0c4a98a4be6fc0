namespace Berth.Core.Placement;

/// <summary>Brings what differs between two snapshots of a node into the index of attributes. What is the same object,
/// or the same set, is left alone: a heartbeat mostly changes the load.</summary>
internal static class NodeAttributeChanges
{
    /// <param name="before">Null for a new node.</param>
    /// <param name="after">Null for one that leaves.</param>
    public static void Apply(AttributeIndex index, int slot, NodeSnapshot? before, NodeSnapshot? after)
    {
        if (before is null || after is null)
        {
            Change(index, slot, NodeAttributes.Node, Single(before?.Name), Single(after?.Name));
        }

        if (before?.Architecture != after?.Architecture)
        {
            Change(
                index, slot, NodeAttributes.Architecture, Single(before?.Architecture), Single(after?.Architecture));
        }

        ChangeSet(index, slot, NodeAttributes.Feature, before?.Features, after?.Features);
        ChangeSet(index, slot, AttributeIndex.Image, before?.Images, after?.Images);
        ChangeSet(index, slot, AttributeIndex.ComingImage, before?.ComingImages, after?.ComingImages);
        ChangeSet(index, slot, AttributeIndex.Volume, before?.Volumes, after?.Volumes);
        ChangeSet(index, slot, AttributeIndex.HostFolder, before?.HostFolders, after?.HostFolders);
        ChangeSet(index, slot, AttributeIndex.Network, before?.Networks, after?.Networks);
        if (!ReferenceEquals(before?.Gpus, after?.Gpus))
        {
            Change(index, slot, NodeAttributes.GpuModel, Models(before), Models(after));
        }

        if (before is null || after is null || !SameLabels(before, after))
        {
            foreach ((string key, string value) in Labels(before))
            {
                index.Remove(slot, key, value);
            }

            foreach ((string key, string value) in Labels(after))
            {
                index.Add(slot, key, value);
            }
        }
    }

    public static bool SameLabels(NodeSnapshot a, NodeSnapshot b) =>
        ReferenceEquals(a.Labels, b.Labels)
        || (a.Labels.Count == b.Labels.Count
            && a.Labels.All(label => b.Labels.TryGetValue(label.Key, out string? other) && other == label.Value));

    private static void ChangeSet(
        AttributeIndex index, int slot, string key, IReadOnlySet<string>? before, IReadOnlySet<string>? after)
    {
        if (!ReferenceEquals(before, after) && !(before is not null && after is not null && before.SetEquals(after)))
        {
            Change(index, slot, key, before ?? Enumerable.Empty<string>(), after ?? Enumerable.Empty<string>());
        }
    }

    private static void Change(
        AttributeIndex index, int slot, string key, IEnumerable<string> before, IEnumerable<string> after)
    {
        foreach (string value in before)
        {
            index.Remove(slot, key, value);
        }

        foreach (string value in after)
        {
            index.Add(slot, key, value);
        }
    }

    // A node that calls a label as an attribute is called does not become what it is not.
    private static IEnumerable<KeyValuePair<string, string>> Labels(NodeSnapshot? node) =>
        node?.Labels.Where(label => !NodeAttributes.Contains(label.Key) && !label.Key.Contains(' ')) ?? [];

    private static IEnumerable<string> Models(NodeSnapshot? node) =>
        node?.Gpus.Select(gpu => gpu.Model).Distinct() ?? [];

    private static string[] Single(string? value) => value is null ? [] : [value];
}
